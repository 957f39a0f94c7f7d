"""Zip files of strangers: opened only where it is known beforehand how much memory they take."""

from __future__ import annotations

import zipfile
from pathlib import Path

from voin.core.errors import FileRefusal

_ENTRY = 2**10  # bytes that a name and its place may take; Python takes several times as much for them
# What is packed in other ways Python unpacks as a whole before it counts: 70 kB of LZMA took 900 MB.
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_OTHERS = {zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "LZMA"}
_END, _LARGE = b"PK\5\6", b"PK\6\7"  # of the directory; what stands before it where there is a second, larger end
_LENGTH, _LARGE_LENGTH, _COMMENT = 22, 20 + 56, 2**16


def open_archive(path: Path, names: int) -> zipfile.ZipFile:
    """Open a zip file whose directory is short, and whose files can be read piece by piece.

    Args:
        path: the file.
        names: files that it may be expected to hold; many folders besides do not matter.

    Raises:
        OSError: it names too many files, or packs one in an unusual way.
        zipfile.BadZipFile: it is no zip file, or damaged.
    """
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - _LENGTH - _LARGE_LENGTH - _COMMENT, 0))
        tail = file.read()
    end = tail.rfind(_END)
    sizes = [tail[end + 12 : end + 16]] if end >= 0 else []
    if end >= _LARGE_LENGTH and tail[end - 20 : end - 16] == _LARGE:
        sizes = [tail[end - 36 : end - 28]]
    if any(int.from_bytes(size, "little") > _ENTRY * names for size in sizes):
        what = f"{path.name} names far more files than masks need"
        raise FileRefusal(what, "a mask a frame is enough", "pack only the masks")
    archive = zipfile.ZipFile(path)
    odd = next((member for member in archive.infolist() if member.compress_type not in _PACKED), None)
    if odd is not None:
        archive.close()
        how = _OTHERS.get(odd.compress_type, "an unknown method")
        what = f"{path.name} has {odd.filename[:60]!r} packed by {how}"
        raise FileRefusal(what, "it must be packed by deflate, as zip programs do unless told otherwise", "pack it so")
    return archive
