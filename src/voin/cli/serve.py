"""`voin serve`: the page in a browser. What is heavy is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from voin.cli.console import out, report_errors
from voin.cli.options import QuietOption, TracebackOption

SERVE_EXAMPLES = """[bold]Examples[/bold]

voin serve

[dim]Videos that lie in a folder of this machine can be chosen, too:[/dim]
voin serve --root videos/

[dim]For other machines; put a proxy with HTTPS before it where the network is not yours:[/dim]
voin serve --host 0.0.0.0 --auth user:password --jobs 2"""
ADDRESS, LIMITS = "Address", "Limits"


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen at; by default this machine alone.", rich_help_panel=ADDRESS)
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at.", rich_help_panel=ADDRESS)] = 7860,
    auth: Annotated[
        str | None,
        typer.Option(
            help="What the page asks for; needed where other machines can reach it.",
            metavar="USER:PASSWORD",
            envvar="VOIN_AUTH",
            rich_help_panel=ADDRESS,
        ),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(
            help="Folder whose videos may be chosen on the page; nothing outside it can.",
            metavar="DIR",
            rich_help_panel=ADDRESS,
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Jobs that run at a time; others wait.", rich_help_panel=LIMITS)] = 1,
    max_mb: Annotated[int, typer.Option("--max-mb", help="Megabytes of an upload.", rich_help_panel=LIMITS)] = 500,
    max_frames: Annotated[int, typer.Option("--max-frames", help="Frames of a video.", rich_help_panel=LIMITS)] = 3000,
    max_pixels: Annotated[int, typer.Option("--max-pixels", help="Pixels of a frame.", rich_help_panel=LIMITS)] = 4096
    * 2304,
    keep_minutes: Annotated[
        float,
        typer.Option("--keep-minutes", help="How long files are kept after a page was closed.", rich_help_panel=LIMITS),
    ] = 10.0,
    quiet: QuietOption = False,
    show_traceback: TracebackOption = False,
) -> None:
    """Serve a page on which videos are completed in a browser: mark the object, track it, show its hidden part."""
    with report_errors(show_traceback, "all files of the page are removed"):
        from voin.app.limits import Limits
        from voin.app.server import ServeConfig, Server, check_free, check_gradio, parse_auth

        check_gradio()
        config = ServeConfig(
            host=host,
            port=port,
            jobs=jobs,
            root=root,
            limits=Limits(max_mb, max_frames, max_pixels),
            auth=parse_auth(auth) if auth is not None else None,
            keep_minutes=keep_minutes,
        )
        check_free(host, port)
        server = Server(config)
        try:
            server.run(lambda url: None if quiet else _say(url))
        finally:
            server.close()
        if not quiet:
            out.print("Stopped; all files of the page are removed")


def _say(url: str) -> None:
    out.print(f"voin is at [bold]{escape(url)}[/bold]; Ctrl-C stops it", soft_wrap=True)
