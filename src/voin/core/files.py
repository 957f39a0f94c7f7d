"""Files written whole, JSON that people can read, HTML pages, and folders of jobs that go on where they stopped."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import stat
import sys
import time
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

from voin.core import __version__
from voin.core.errors import FileRefusal

_LOCK_TRIES = 100
_REPLACE_SECONDS = (0.05, 0.1, 0.2, 0.4, 0.8)  # between tries
_IS_WINDOWS = os.name == "nt"
# What Windows takes for a device, whatever suffix follows, and letters that its names cannot have.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in "123456789¹²³")}
# What file managers write into folders that somebody looks at.
_NOTES = {".DS_Store", "Thumbs.db", "desktop.ini"}
_NO_LETTERS = frozenset('<>:"/\\|?*')


# What has a name but is no file.
_STREAMS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def check_stored(path: Path, must: str) -> None:
    """Refuse a pipe, which would be waited for, a socket, and a device, which may have no end; what is absent passes.

    Raises:
        OSError: it is one of these, by a link or by itself; it must be what `must` says.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # ValueError: a name with NUL
        return
    if kind := next((kind for is_kind, kind in _STREAMS if is_kind(mode)), None):
        raise FileRefusal(f"{path} is {kind}, not a file", must, "save what it gives as a file, and name that")


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """Name the entries, those of inner tables too, in which two requests differ."""
    found = []
    for key in dict.fromkeys([*old, *new]):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, f"{prefix}{key}.")
        elif a != b:
            found.append(f"{prefix}{key}")
    return found


def write_json(path: Path, content: Any) -> None:
    """Write JSON that people can read, as a whole file: tables in lines, lists of numbers in one line."""
    # A name may hold bytes that are no UTF-8, which Python keeps as single surrogates; JSON has an escape for each.
    write_whole(path, (_lines(content, "") + "\n").encode(errors="backslashreplace"))


def _lines(content: Any, indent: str) -> str:
    if not isinstance(content, dict) or not content:
        return json.dumps(content, ensure_ascii=False, default=str)
    inner = indent + "  "
    entries = [f"{inner}{json.dumps(str(key))}: {_lines(value, inner)}" for key, value in content.items()]
    return "{\n" + ",\n".join(entries) + f"\n{indent}}}"


def read_json(path: Path) -> dict[str, Any] | None:
    """Read a JSON table; None if there is no such file, or something else stands in it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None  # a pipe has no end
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def fits(content: Any, shape: Any) -> bool:
    """Return whether what JSON held has a shape, so that it can be used without a look at each entry.

    Args:
        content: what `read_json` gave, or a part of it.
        shape: a type or several; [shape of every item]; {name: shape}, where other names may stand besides; or
            {str: shape of every value}.
    """
    if isinstance(shape, list):
        return isinstance(content, list) and all(fits(item, shape[0]) for item in content)
    if isinstance(shape, dict):
        names = content if isinstance(content, dict) else {}
        wanted = dict.fromkeys(names, shape[str]) if str in shape else shape
        return isinstance(content, dict) and all(name in names and fits(names[name], wanted[name]) for name in wanted)
    return isinstance(content, shape) and (shape is bool or not isinstance(content, bool))


def as_json(content: dict[str, Any]) -> dict[str, Any]:
    """Return a table as it comes back from a JSON file, so that both can be compared."""
    return json.loads(json.dumps(content, default=str))


def identity(path: Path) -> dict[str, Any]:
    """Return what tells a file, or all files of a folder, from others: names, sizes and times of the last change."""
    inside = (file for file in path.iterdir() if file.name not in _NOTES and file.is_file()) if path.is_dir() else ()
    files = sorted(inside) if path.is_dir() else [path]
    looks = [(file.name, file.stat()) for file in files]  # once each: a run asks again after every chunk
    facts = [(name, look.st_size, look.st_mtime_ns) for name, look in looks]
    content = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
    return {"path": str(path.resolve()), "bytes": sum(size for _, size, _ in facts), "version": content}


class ChangedInput(FileRefusal):
    """A file was replaced or edited while a run was reading it."""


def check_unchanged(request: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse to go on where files are no more those of a request, of which `now` is that part made anew.

    Raises:
        ChangedInput: they were changed.
    """
    changed = [name for name, value in as_json(now).items() if value != request[name]]
    if changed:
        what = f"the {' and the '.join(changed)} changed while this run was reading"
        remedy = "put back what was there and run this again, or begin anew with --overwrite"
        raise ChangedInput(what, "input must stay as it is until a run is done", remedy)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, then rename it, so that `path` is always whole or absent."""
    draft = path.with_name(f".{path.name}.part")
    try:
        draft.write_bytes(data)
        replace_file(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def replace_file(draft: Path, path: Path) -> None:
    """Give a finished file its name; on Windows what stands there cannot be replaced while a program has it open.

    Raises:
        OSError: it still has it open after a moment, or the file cannot be renamed for another reason.
    """
    for seconds in (*_REPLACE_SECONDS, None):
        try:
            draft.replace(path)
            return
        except PermissionError as error:
            if not _IS_WINDOWS:
                raise
            if seconds is None:
                what = f"{path} cannot be replaced ({error.strerror})"
                raise FileRefusal(what, "no other program may have it open", "close it, and run this again") from error
            time.sleep(seconds)


def one_name(name: str) -> str:
    """Return the same text for all names that a file system may take for one: of any case, and however accented."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def is_portable(name: str) -> bool:
    """Return whether a file or folder may have a name on every usual system."""
    device = name.partition(".")[0].rstrip().casefold() in _DEVICES
    letters = name.isprintable() and not _NO_LETTERS.intersection(name)
    return bool(name) and letters and not device and name[-1] not in ". " and len(name.encode(errors="replace")) <= 255


def write_page(path: Path, template: Path, **values: Any) -> None:
    """Write an HTML page, whole or not at all, from a jinja2 template.

    It may extend or include files of its own folder and of `voin/core/templates`. The `values` that it names are
    escaped where they are shown; an absent one is an error. The filter `data_url(kind)` puts bytes into the page.
    """
    # Imported here: commands that write no page start without it.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([template.parent, Path(__file__).parent / "templates"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_url"] = lambda data, kind: f"data:{kind};base64,{base64.b64encode(data).decode()}"
    text = environment.get_template(template.name).render({"version": __version__, **values})
    write_whole(path, (text + "\n").encode())


def remove_files(files: Iterable[Path]) -> None:
    """Remove files, and the drafts of them that a killed process has left."""
    for file in files:
        for path in (file, file.with_name(f".{file.name}.part"), file.with_name(f".{file.stem}.part{file.suffix}")):
            with suppress(FileNotFoundError, NotADirectoryError):
                path.unlink()


def check_output(path: Path, must: str = "the output must be a folder") -> None:
    """Refuse a folder for output that can't be made: no name, a file, or a link to nothing. Raises OSError."""
    if "\0" in str(path):
        raise FileRefusal(f"{str(path)!r} is no name of a file", must, "choose another name")
    try:
        what = "a link to nothing" if path.is_symlink() and not path.exists() else "a file"
        fits = path.is_dir() or not (path.exists() or path.is_symlink())
    except OSError as error:  # the name is too long
        raise FileRefusal(f"{str(path)[:60]}... cannot be: {error.strerror}", must, "choose a shorter name") from error
    if not fits:
        raise FileRefusal(f"{path} is {what}", must, "choose another name")


def check_working_folder() -> None:
    """Refuse to work in a folder that has been removed, where libraries fail to load. Raises OSError."""
    try:
        os.getcwd()  # noqa: PTH109 - pathlib would do the same, and more
    except FileNotFoundError as error:
        raise FileRefusal(
            "the folder that this runs in has been removed", "it must be there", "go to another one, and start again"
        ) from error


class JobFolder(ABC):
    """The output folder of a job that may be stopped at any moment; the same call goes on with it.

    An unfinished job keeps the folder `STATE` there, whose `state.json` (`state`) says which job it is; a finished one
    leaves the file `RECORD` (`record`). Subclasses name these, and say which files a job writes. Two jobs with the same
    `request`, what they are made from, give the same files.
    """

    RECORD: ClassVar[str]
    STATE: ClassVar[str] = ".voin"
    # What stands there, and what the folder must be, in messages.
    KIND: ClassVar[str] = "run"
    MUST: ClassVar[str] = "the output must be a folder"

    def __init__(self, path: Path, request: dict[str, Any]) -> None:
        self.path = path
        self.request = as_json(request)
        self.look()

    def look(self) -> None:
        """Read what stands in the folder, and change nothing."""
        self.record = self.read(self.path / self.RECORD)
        self.state = self.read(self.path / self.STATE / "state.json")

    def read(self, path: Path) -> dict[str, Any] | None:
        """Read a record or a state; None if it is absent or not one of ours."""
        return read_json(path)

    def request_of(self, content: dict[str, Any]) -> dict[str, Any]:
        """Return the request in a record or a state."""
        return content["request"]

    def outputs(self) -> Iterable[Path]:
        """Return the files that stand there when this job is finished, relative to the folder."""
        return ()

    @abstractmethod
    def stranger(self, overwrite: bool) -> str | None:
        """Return what stands in the way and no job has written, as a message names it; None where there is nothing."""

    def remove(self, content: dict[str, Any]) -> None:  # noqa: B027 - a job that is never replaced removes nothing
        """Remove the files that the job of this record or state has written, but for the record and the state."""

    def is_same(self, content: dict[str, Any] | None) -> bool:
        """Return whether a record or a state is of this very job."""
        return content is not None and self.request_of(content) == self.request

    def is_finished(self) -> bool:
        """Return whether this very job stands there, with all its files."""
        return self.is_same(self.record) and all((self.path / file).exists() for file in self.outputs())

    def is_begun(self) -> bool:
        """Return whether this very job was begun there and not finished."""
        return self.is_same(self.state)

    def others(self) -> list[dict[str, Any]]:
        """Return the records and states of other jobs, which must not be lost."""
        return [content for content in (self.record, self.state) if content is not None and not self.is_same(content)]

    def told_differences(self, content: dict[str, Any]) -> str:
        """Return in what another job differs from this one, for messages."""
        return ", ".join(differences(self.request_of(content), self.request)[:4])

    def check(self, overwrite: bool) -> None:
        """Refuse a folder in which something stands that would be lost. Raises OSError."""
        check_output(self.path, self.MUST)
        others = self.others()
        if others and not overwrite:
            raise FileRefusal(
                f"{self.path} holds another {self.KIND} (other {self.told_differences(others[-1])})",
                "the output needs a folder of its own",
                f"choose another one, or use --overwrite to replace that {self.KIND}",
            )
        stranger = self.stranger(overwrite)
        if stranger is not None:
            raise FileRefusal(
                f"{self.path} holds {stranger}",
                "voin replaces only what it wrote itself",
                "move it away, or choose another folder",
            )

    @contextmanager
    def held(self, overwrite: bool = False) -> Iterator[None]:
        """Keep other processes out while this job works there; a killed one lets go of the folder by itself.

        The folder is made, looked at once more and checked, as it may have changed before it was held. If nothing comes
        to stand in it, it is removed again. Raises OSError where another job works there, or `check` does.
        """
        missing = [place for place in (self.path, *self.path.parents) if not place.exists()]
        lock = self.path / self.lock_name()
        try:
            handle = _lock(lock)
            try:
                self.look()
                self.check(overwrite)
                yield
            finally:
                _unlock(handle, lock)
        finally:
            for place in missing:
                with suppress(OSError):  # something stands in it
                    place.rmdir()

    def lock_name(self) -> str:
        """Return the name of the lock's file; it lies beside `STATE`, so that nothing which is removed holds it."""
        return f"{self.STATE}.lock"

    def begin(self, state: dict[str, Any]) -> None:
        """Remove what earlier jobs have written and note which job this is, unless it was begun before."""
        if self.is_begun():
            return
        self.clear()
        (self.path / self.STATE).mkdir(parents=True, exist_ok=True)
        write_json(self.path / self.STATE / "state.json", state)
        self.state = as_json(state)

    def clear(self) -> None:
        """Remove what earlier jobs have written there, and nothing else."""
        for content in (self.record, self.state):
            if content is not None:
                self.remove(content)
        if self.record is not None:
            (self.path / self.RECORD).unlink(missing_ok=True)
        if self.state is not None:
            self.forget()
        self.record = self.state = None

    def forget(self) -> None:
        """Remove the state: the last thing that a job does."""
        shutil.rmtree(self.path / self.STATE, ignore_errors=True)


def _lock(path: Path) -> int:
    """Lock a file, which is made, for this process alone; return its handle, or raise OSError."""
    for _ in range(_LOCK_TRIES):
        # The one before may remove the file or the empty folder at any moment.
        with suppress(FileNotFoundError, FileExistsError):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            with ExitStack() as stack:
                stack.callback(os.close, handle)
                try:
                    _grasp(handle)
                except BlockingIOError:
                    break
                # Of a file that was removed meanwhile somebody else may lock the next one of the same name.
                if os.path.samestat(os.fstat(handle), path.stat()):
                    stack.pop_all()
                    return handle
    raise FileRefusal(
        f"{path.parent} is being written by another run",
        "each needs a folder of its own",
        "wait until that one is done, or choose another folder",
    )


def _grasp(handle: int) -> None:
    """Lock an open file at once. Raises BlockingIOError where another process has it."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError from error
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _unlock(handle: int, path: Path) -> None:
    """Remove a locked file, then let go of it: in the other order the next one's lock could be removed."""
    with suppress(OSError):  # Windows does not remove open files
        path.unlink()
    os.close(handle)
    if sys.platform == "win32":
        with suppress(OSError):  # where it is the next one's by now, that is refused
            path.unlink()
