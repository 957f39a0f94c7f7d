"""Files that people write or export, read whole: only files, only up to a size, whichever editor has saved them."""

from __future__ import annotations

from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from pathlib import Path

from voin.core.errors import FileRefusal, ValueRefusal
from voin.core.files import check_stored

MOST_BYTES = 2**26


def read_bytes(path: Path, kind: str, remedy: str, most: int = MOST_BYTES) -> bytes:
    """Return the content of a file.

    Args:
        path: the file, or a link to it.
        kind: what it must be, for refusals: "a text file of frame numbers".
        remedy: what to do where it is something else.
        most: bytes that it may have.

    Raises:
        OSError: it cannot be read, is larger, or is no file but a device or a pipe, which may have no end.
    """
    check_stored(path, f"it must be {kind}")
    try:
        found = path.stat()
        with path.open("rb") as file:
            content = file.read(most + 1)  # a file system may claim any size
    except (OSError, ValueError) as error:  # ValueError: a name with NUL
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise FileRefusal(f"{path} cannot be read ({reason})", f"it must be {kind}", remedy) from error
    if len(content) > most:
        size = max(found.st_size, len(content))
        raise FileRefusal(f"{path} has {size / 1e6:.0f} MB", f"{kind} may have {most // 1_000_000} MB", remedy)
    return content


def read_text(path: Path, kind: str, remedy: str, most: int = MOST_BYTES, errors: str = "strict") -> str:
    """Return the text of a file: UTF-8, or what its byte order mark says, which is left out.

    The arguments are those of `read_bytes`; with `errors` "replace" bytes that are no text are taken, too.

    Raises:
        OSError: as `read_bytes`.
        ValueError: it is no text.
    """
    content = read_bytes(path, kind, remedy, most)
    wide = content.startswith((BOM_UTF16_LE, BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if wide else "utf-8-sig", errors=errors)
    except UnicodeDecodeError as error:
        raise ValueRefusal(f"{path} is not a text file ({error})", f"it must be {kind}", remedy) from error
