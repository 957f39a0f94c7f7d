"""Sessions: each user's own folder, found by a secret, and gone when the session ends. No path leads out of it."""

from __future__ import annotations

import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from voin.app.gate.folder import OwnFolder
from voin.app.gate.limits import VIDEO_SUFFIXES
from voin.core.errors import ValueRefusal
from voin.core.files import is_portable
from voin.io.images import FRAME_SUFFIXES

_TOKEN_BYTES = 32
_MOST_LISTED, _MOST_FOLDERS = 500, 5000
_LONGEST_NAME, _LONGEST_PLAIN_NAME, _LONGEST_SUFFIX = 255, 80, 16  # bytes
_UPLOAD = "upload-"
_IDLE_SECONDS = 24 * 3600.0  # for pages whose end was never told
_STRAY_SECONDS = 3600.0  # for uploads that no session took


@dataclass(eq=False)
class Session:
    """One user's work, found by its secret; times are those of `time.monotonic`."""

    token: str
    folder: Path
    state: Any = None  # what the page knows of it
    lock: threading.RLock = field(default_factory=threading.RLock)  # held while the page changes it
    pages: set[str] = field(default_factory=set)  # open ones, by Gradio's name for them
    touched: float = field(default_factory=time.monotonic)  # when it was last used
    left: float | None = None  # when its last page was closed
    _numbers: int = 0

    def place(self, name: str) -> Path:
        """Return a new path in the session's folder; nothing is there yet."""
        with self.lock:
            self._numbers += 1
            return self.folder / f"{self._numbers:03d}-{safe_name(name)}"

    def is_over(self, now: float, keep_seconds: float) -> bool:
        """Return whether it was left so long ago, or not used for a day."""
        was_left = self.left is not None and now - self.left >= keep_seconds
        return was_left or now - self.touched > _IDLE_SECONDS


class Sessions:
    """All sessions, in one temporary folder that is removed with them.

    A session outlives its last page by `keep_seconds`, so that a page can be loaded again; then `ended` is told of it,
    and its files are removed.
    """

    def __init__(
        self,
        make_state: Callable[[Session], Any] = lambda session: None,
        ended: Callable[[Session], object] = lambda session: None,
        keep_seconds: float = 600.0,
    ) -> None:
        self._own = OwnFolder()
        self.folder = self._own.path
        self._make_state, self._ended, self._keep = make_state, ended, keep_seconds
        self._all: dict[str, Session] = {}
        self._lock = threading.Lock()

    def enter(self, token: str, page: str) -> Session:
        """Return the session of a page: the one of its secret if that is known, else a new one."""
        with self._lock:
            session = self._all.get(token)
            if session is None:
                # The folder's name is a secret of its own: files name it, and who reads it there gets no further.
                token, name = (secrets.token_urlsafe(_TOKEN_BYTES) for _ in range(2))
                session = self._all[token] = Session(token, self.folder / f"session-{name}")
                session.folder.mkdir(mode=0o700)
                session.state = self._make_state(session)
            session.pages.add(page)
            session.left, session.touched = None, time.monotonic()
            return session

    def find(self, token: object) -> Session:
        """Return a session by its secret; one that has ended is refused."""
        with self._lock:
            session = self._all.get(token) if isinstance(token, str) else None
            if session is None:
                raise ValueRefusal(
                    "this session has ended and its files are removed", "a page must have one", "load the page again"
                )
            session.touched = time.monotonic()
            return session

    def leave(self, page: str) -> None:
        """Note that a page was closed."""
        with self._lock:
            for session in self._all.values():
                if page in session.pages:
                    session.pages.discard(page)
                    session.left = None if session.pages else time.monotonic()

    def end(self, session: Session) -> None:
        """End a session and remove its files."""
        with self._lock:
            self._all.pop(session.token, None)
        self._ended(session)
        shutil.rmtree(session.folder, ignore_errors=True)

    def reap(self) -> None:
        """End the sessions whose time is over, and remove uploads that nobody took."""
        now = time.monotonic()
        with self._lock:
            over = [session for session in self._all.values() if session.is_over(now, self._keep)]
        for session in over:
            self.end(session)
        for path in (*self.folder.glob(f"{_UPLOAD}*"), *self.folder.glob("tmp*")):  # Gradio makes the latter
            if time.time() - path.stat().st_mtime > _STRAY_SECONDS:
                _remove(path)

    def close(self) -> None:
        """End all sessions and remove the folder."""
        for session in list(self._all.values()):
            self.end(session)
        self._own.close()

    def __len__(self) -> int:
        return len(self._all)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def new_upload_folder(folder: Path) -> Path:
    """Make a folder for an upload, by a name that nobody can guess: who knows it has uploaded the file."""
    place = folder / f"{_UPLOAD}{secrets.token_urlsafe(_TOKEN_BYTES)}"
    place.mkdir(mode=0o700)
    return place


def is_upload(path: Path) -> bool:
    """Return whether a file in the server's folder is an upload that no session has taken yet."""
    return path.parent.name.startswith(_UPLOAD)


def take_upload(session: Session, given: object, folder: Path) -> Path:
    """Move an upload into the session's folder; paths to anything else are refused."""
    try:
        path = Path(str(given)).resolve()
        if path.parent.parent != folder or not is_upload(path) or not path.is_file():
            raise ValueError
        target = path.rename(session.place(path.name))
    except (ValueError, OSError):  # a name with a NUL, or too long; or somebody else was faster
        what, remedy = "this is no upload of this page", "choose the file again"
        raise ValueRefusal(what, "files must be chosen in it", remedy) from None
    shutil.rmtree(path.parent, ignore_errors=True)
    return target


def short_name(name: str, most: int = _LONGEST_NAME) -> str:
    """Shorten a file's name to so many bytes, its suffix kept; what is no name becomes "file"."""
    suffix = Path(name).suffix if len(Path(name).suffix.encode(errors="ignore")) <= _LONGEST_SUFFIX else ""
    room = most - len(suffix.encode(errors="ignore"))
    stem = name.removesuffix(suffix).encode(errors="ignore")[:room].decode(errors="ignore")
    return (stem if stem.strip(".") else "file") + suffix


def safe_name(name: str) -> str:
    """Turn what a stranger calls a file into a plain file name, with its suffix."""
    plain = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in Path(name).name)
    short = short_name(plain.lstrip(".") if Path(plain).stem.strip(".") else "file", _LONGEST_PLAIN_NAME)
    return short if is_portable(short) else f"file-{short.rstrip('. ')}"


def find_inside(root: Path, text: str) -> Path:
    """Return the path that `text` names below `root`; what is absent is refused, as are links that lead outside."""
    root, path = root.resolve(), Path(text)
    # One message for all: whoever asks must not learn what there is outside.
    refusal = ValueRefusal(
        f"{text!r} is not in the folder that this server shows", "it must be a video that the list has", "choose one"
    )
    if not text or "\0" in text or path.is_absolute() or ".." in path.parts:
        raise refusal
    try:
        found = (root / path).resolve(strict=True)
    except (OSError, RuntimeError):
        raise refusal from None
    if not found.is_relative_to(root) or found == root:
        raise refusal
    # A folder of frames is read file by file.
    if found.is_dir() and not all(_leads_inside(path, root) for path in found.iterdir()):
        raise refusal
    return found


def list_videos(root: Path) -> list[str]:
    """List videos, and folders of frames, below `root`, relative to it; hidden ones and links outwards are left out."""
    root = root.resolve()
    found: list[str] = []
    for folder, folders, files in islice(os.walk(root), _MOST_FOLDERS):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here = Path(folder)
        videos = [name for name in sorted(files) if Path(name).suffix.lower() in VIDEO_SUFFIXES and name[0] != "."]
        found += [str((here / name).relative_to(root)) for name in videos if _leads_inside(here / name, root)]
        has_frames = any(Path(name).suffix.lower() in FRAME_SUFFIXES for name in files)
        if here != root and has_frames and all(_leads_inside(here / name, root) for name in files):
            found.append(f"{here.relative_to(root)}/")
        if len(found) >= _MOST_LISTED:
            break
    return sorted(found[:_MOST_LISTED])


def _leads_inside(path: Path, root: Path) -> bool:
    try:
        return path.resolve().is_relative_to(root)
    except (OSError, RuntimeError):  # links in a circle
        return False
