"""What `voin serve` lets its owner choose; nothing heavy is imported, as the command line makes its help of it."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from voin.core.config import Checked, setting
from voin.core.errors import FileRefusal, ValueRefusal
from voin.io.limits import ABOVE_0, VideoLimits


def parse_auth(text: str) -> tuple[str, str]:
    """Read "user:password"; both must be given."""
    user, _, password = text.partition(":")
    if not user or not password:
        what = "the user and password are not both given"
        raise ValueRefusal(what, "they must be like user:password", "write --auth so")
    return user, password


def is_loopback(host: str) -> bool:
    """Return whether an address can be reached from this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Limits(VideoLimits):
    """How large things may be that users give to the page."""

    frames: int = setting(3000, "Frames of a video.", flag="--max-frames", **ABOVE_0)
    pixels: int = setting(4096 * 2304, "Pixels of a frame.", flag="--max-pixels", **ABOVE_0)
    megabytes: int = setting(500, "Megabytes of an upload, packed or not.", flag="--max-mb", **ABOVE_0)
    seconds: float = setting(60.0, "Time that looking at a file may take.", flag="", **ABOVE_0)
    raised_by: ClassVar[str] = "start the server with a larger"

    @property
    def bytes(self) -> int:
        """Largest upload."""
        return self.megabytes * 1_000_000


@dataclass(frozen=True)
class ServeConfig(Checked):
    """How to serve the page."""

    host: str = setting("127.0.0.1", "Address to listen at; by default this machine alone.", panel="Address")
    port: int = setting(7860, "Port to listen at.", panel="Address")
    auth: tuple[str, str] | None = setting(
        None,
        "What the page asks for; needed where other machines can reach it.",
        read=parse_auth,
        metavar="USER:PASSWORD",
        envvar="VOIN_AUTH",
        panel="Address",
    )
    root: Path | None = setting(
        None, "Folder whose videos may be chosen on the page; nothing outside it can.", metavar="DIR", panel="Address"
    )
    root_path: str = setting(
        "",
        "Path, or whole URL, under which a proxy serves the page, such as /voin or https://example.org/voin.",
        read=lambda text: text.rstrip("/"),
        metavar="PATH|URL",
        panel="Address",
    )
    models: tuple[str, ...] = setting(
        (),
        "Networks that can be chosen on the page, with commas between: folders, or owner/name on the Hugging Face hub.",
        read=lambda text: tuple(name.strip() for name in text.split(",") if name.strip()),
        write=",".join,
        metavar="NAME|DIR,...",
        panel="Address",
    )
    jobs: int = setting(1, "Jobs that run at a time; others wait.", least=1, most=64, panel="Limits")
    limits: Limits = setting(factory=Limits)
    keep_minutes: float = setting(10.0, "How long files are kept after a page was closed.", least=0, panel="Limits")

    def check(self) -> None:
        """Refuse what cannot be served, and what would be open to strangers."""
        if not 1 <= self.port <= 65535:
            raise ValueRefusal(f"the port is {self.port}", "it must be 1 to 65535", "leave it out for 7860")
        if self.root_path and not re.fullmatch(r"(https?://[^/?#\s]+)?(/[^/?#\s]+)*", self.root_path):
            must = "it must be a path such as /voin, or a URL such as https://example.org/voin"
            raise ValueRefusal(
                f"the root path is {self.root_path!r}", must, "correct it, or leave it out without a proxy"
            )
        if not is_loopback(self.host) and self.auth is None:
            what, remedy = "can be reached from other machines", "add --auth user:password, or leave --host out"
            raise ValueRefusal(f"the address {self.host} {what}", "the page must then ask for a password", remedy)
        if self.root is not None and not self.root.is_dir():
            raise FileRefusal(f"{self.root} is no folder", "the videos to choose from must lie in one", "give its path")
