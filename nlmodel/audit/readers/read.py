"""The arrays of a file, by its suffix."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from nlmodel.audit.readers.entry import Entry, printable
from nlmodel.audit.readers.image_files import image_entries
from nlmodel.audit.readers.numpy_files import npy_entries, npz_entries
from nlmodel.audit.readers.safetensors_files import safetensors_entries
from nlmodel.errors import FileError


SUFFIXES = {
    ".npy": npy_entries,
    ".npz": npz_entries,
    ".png": image_entries,
    ".jpg": image_entries,
    ".jpeg": image_entries,
    ".safetensors": safetensors_entries,
}


def entries(path: str | Path) -> list[Entry]:
    """The arrays that a file holds, with shape and dtype; their data stays on disk until `Entry.load()`.

    Nothing in the file is executed: pickled objects are refused, images go through two decoders only, and sizes are
    checked before memory is taken.

    Parameters
    ----------
    path : a `.npy`, `.npz`, `.png`, `.jpg` or `.safetensors` file.

    Raises   FileError: missing, a folder, empty, damaged, too large, of another kind, or without an array.
    """
    path = check_file(path, tuple(SUFFIXES))
    found = SUFFIXES[path.suffix.lower()](path)
    if not found:
        raise FileError("the file holds no array", got=printable(str(path)))
    return found


def check_file(path: str | Path, suffixes: Collection[str]) -> Path:
    """The path of a regular, readable file that is not empty and ends in one of these suffixes."""
    path = Path(path)
    name = printable(str(path))
    if not path.exists():
        raise FileError("no such file", got=name)
    if not path.is_file():
        raise FileError("not a regular file", got=name, fix="pass one file")
    if path.suffix.lower() not in suffixes:
        raise FileError(
            "unknown kind of file", got=name, fix=f"pass one of {', '.join(suffixes)}; save arrays with numpy.save"
        )
    try:
        empty = path.stat().st_size == 0
        path.open("rb").close()
    except OSError as error:
        raise FileError(f"{name} cannot be opened", got=error.strerror) from error
    if empty:
        raise FileError("the file is empty", got=name, fix="write the file again")
    return path
