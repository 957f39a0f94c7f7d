"""`voin serve`: the server of the page, from its settings to its end."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from voin.app.options import ServeConfig
from voin.core.errors import FileRefusal, PackageRefusal

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import Scope

log = logging.getLogger("voin.serve")
_REAP_SECONDS = 15.0
_STOP_SECONDS = 3
_LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


class Server:
    """The page with all behind it: sessions, the queue, and the processes that read files; it needs Gradio."""

    def __init__(self, config: ServeConfig) -> None:
        check_gradio()
        from voin.app.gate.sessions import Sessions
        from voin.app.queue import Jobs
        from voin.app.readers import Readers
        from voin.app.workspace import Services, Workspace, end_session

        self.config = config
        self.jobs = Jobs(config.jobs, failed=lambda job: log.error("job %s\n%s", "; ".join(job.parts), job.trace))
        self.readers = Readers(seconds=config.limits.seconds)
        self.sessions = Sessions(
            lambda session: Workspace(session, self.services), end_session, keep_seconds=60 * config.keep_minutes
        )
        root = config.root.resolve() if config.root is not None else None
        self.services = Services(self.jobs, self.readers, config.limits, self.sessions.folder, root, config.models)
        self._stopped = threading.Event()
        self._reaper = threading.Thread(target=self._reap, daemon=True, name="voin-reaper")
        self._reaper.start()

    def app(self) -> FastAPI:
        """Make the web application."""
        # Before Gradio is imported: where it puts uploads, and that it tells nobody anything.
        os.environ["GRADIO_TEMP_DIR"] = str(self.sessions.folder)
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
        import gradio as gr
        from fastapi import FastAPI
        from gradio.themes import Base

        from voin.app.gate.guard import API, Guard, host_of
        from voin.app.gate.refused import log_in_lines
        from voin.app.gate.uploads import uploader
        from voin.app.text import ASSETS

        log_in_lines()
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        config, folder, most = self.config, self.sessions.folder, self.config.limits.bytes
        # With a password a name that leads here is of no use to others, and a proxy may have one.
        hosts = _LOCAL_HOSTS | {config.host, host_of(urlsplit(config.root_path).netloc)} - {""}
        guards: dict[str, Any] = {"folder": folder, "hosts": hosts if config.auth is None else None, "most_bytes": most}
        guards |= {"is_known": lambda scope: _is_known(app, scope), "root_path": config.root_path}
        app.add_middleware(Guard, **guards)  # pyright: ignore[reportArgumentType]
        app.add_route(f"{API}/upload", uploader(folder), methods=["POST"])
        # Fonts of the system: Gradio's own come from elsewhere.
        sans, mono = ["system-ui", "sans-serif"], ["ui-monospace", "monospace"]
        unused = ("show_error", "ssr_mode", "enable_monitoring", "pwa", "mcp_server", "run_history")
        return gr.mount_gradio_app(
            app,
            self._blocks(),
            path="",
            auth=self.config.auth,
            auth_message="This page is for those who have a password.",
            root_path=self.config.root_path or None,
            allowed_paths=[],
            footer_links=[],
            theme=Base(primary_hue="blue", neutral_hue="slate", font=sans, font_mono=mono),
            css_paths=ASSETS / "page.css",
            **dict.fromkeys(unused, False),
        )

    def _blocks(self) -> Any:
        import gradio as gr

        from voin.app.api import Api
        from voin.app.events import Events
        from voin.app.gate.sessions import list_videos
        from voin.app.layout import Layout

        below = None if self.services.root is None else list_videos(self.services.root)
        with gr.Blocks(title="voin", analytics_enabled=False, fill_width=True) as blocks:
            Api(self.sessions)
            Events(Layout(self.config, below, has_sample()), self.sessions, blocks)
        # Events are short; jobs have their own queue.
        blocks.queue(default_concurrency_limit=16, max_size=None)
        # Mounted, it would not know that it is open to others, and take any path that an event names for an upload.
        blocks.has_launched = True
        return blocks

    def run(self, ready: Callable[[str], object] = lambda url: None) -> None:
        """Serve until it is stopped; `ready` gets the address of the page once it answers."""
        import uvicorn

        app, host, port = self.app(), self.config.host, self.config.port
        name = f"[{host}]" if ":" in host else host
        app.router.add_event_handler("startup", lambda: ready(f"http://{name}:{port}/"))
        more: dict[str, Any] = {"timeout_graceful_shutdown": _STOP_SECONDS, "server_header": False}
        uvicorn.run(app, host=host, port=port, log_level="warning", **more)

    def close(self) -> None:
        """Stop all jobs and processes, and remove all files."""
        self._stopped.set()
        self._reaper.join()
        self.sessions.close()
        self.jobs.close()
        self.readers.close()

    def _reap(self) -> None:
        while not self._stopped.wait(min(_REAP_SECONDS, max(60 * self.config.keep_minutes / 4, 0.2))):
            try:
                self.sessions.reap()
            except Exception:
                log.exception("sessions could not be ended")


def _is_known(app: FastAPI, scope: Scope) -> bool:
    """Return whether a request comes from somebody who has logged in to Gradio's page, or nobody must."""
    from starlette.requests import Request

    page: Any = app.routes[-1].app  # pyright: ignore[reportAttributeAccessIssue]
    cookies, names = (
        Request(scope).cookies,
        (f"access-token-{page.cookie_id}", f"access-token-unsecure-{page.cookie_id}"),
    )
    return page.auth is None or any(cookies.get(name) in page.tokens for name in names)


def check_gradio() -> None:
    """Refuse to go on without Gradio."""
    if find_spec("gradio") is None:
        raise PackageRefusal("Gradio is not installed", "the page is made with it", 'run: pip install "voin[web]"')


def has_sample() -> bool:
    """Return whether the demo's clip is on this machine."""
    from voin.jobs.demo import find_clip

    try:
        return find_clip().is_file()
    except (ImportError, OSError):
        return False


def check_free(host: str, port: int) -> None:
    """Refuse an address that is not this machine's, or is taken."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            what = f"{host}:{port} cannot be listened at ({error.strerror})"
            must = "the address must be this machine's and free"
            raise FileRefusal(what, must, "choose another --port, or stop what uses it") from error
