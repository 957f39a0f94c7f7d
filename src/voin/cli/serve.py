"""`voin serve`: the page in a browser. What is heavy is imported when it runs."""

from __future__ import annotations

from rich.markup import escape

from voin.app.options import ServeConfig
from voin.cli.console import out
from voin.cli.options import Quiet, command

SERVE_EXAMPLES = """[bold]Examples[/bold]

voin serve

[dim]Videos that lie in a folder of this machine can be chosen, too:[/dim]
voin serve --root videos/

[dim]For other machines; put a proxy with HTTPS before it where the network is not yours:[/dim]
voin serve --host 0.0.0.0 --auth user:password --jobs 2"""


@command("all files of the page are removed")
def serve(config: ServeConfig, quiet: Quiet = False) -> None:
    """Serve a page on which videos are completed in a browser: mark the object, track it, show its hidden part."""
    from voin.app.server import Server, check_free, check_gradio

    check_gradio()
    check_free(config.host, config.port)
    server = Server(config)
    try:
        server.run(lambda url: None if quiet else _print_address(url))
    finally:
        server.close()
    if not quiet:
        out.print("Stopped; all files of the page are removed")


def _print_address(url: str) -> None:
    out.print(f"voin is at [bold]{escape(url)}[/bold]; Ctrl-C stops it")
