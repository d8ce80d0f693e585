"""`.npy` and `.npz`: the header is checked against the size of the file before any data is read."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from nlmodel.audit.readers.entry import Entry, check_bytes, printable, refusing
from nlmodel.errors import FileError


def npy_entries(path: Path) -> list[Entry]:
    """The one array of a `.npy` file."""
    with refusing(path, "a NumPy array"), path.open("rb") as stream:
        name = printable(path.stem)
        shape, dtype = _header(path, name, stream, path.stat().st_size)

    def load() -> np.ndarray:
        with refusing(path, "a NumPy array"):
            return np.array(np.load(path, mmap_mode="r", allow_pickle=False))

    return [Entry(name, shape, str(dtype), load)]


def npz_entries(path: Path) -> list[Entry]:
    """The arrays of a `.npz` archive, in the order in which they were written."""
    with refusing(path, "a NumPy archive"), zipfile.ZipFile(path) as archive:
        found = []
        for member in archive.infolist():
            if not member.filename.endswith(".npy"):
                continue
            name = printable(member.filename.removesuffix(".npy"))
            check_bytes(path, name, member.file_size)
            with archive.open(member) as stream:
                shape, dtype = _header(path, name, stream, member.file_size)
            found.append(Entry(name, shape, str(dtype), _member_loader(path, member.filename)))
        return found


def _member_loader(path: Path, member: str):
    def load() -> np.ndarray:
        with refusing(path, "a NumPy archive"), zipfile.ZipFile(path) as archive, archive.open(member) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)

    return load


def _header(path: Path, name: str, stream: Any, size: int) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype, once they are known to account for every byte of the file."""
    version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"format version {version}, which only structured arrays need")
    shape, _, dtype = readers[version](stream)
    if dtype.hasobject:
        raise FileError(
            f"{printable(path.name)}: array {name!r} holds pickled Python objects",
            got=f"dtype {dtype}",
            why="unpickling can run code, so it is never done",
            fix="save numbers: numpy.save(path, numpy.asarray(x, dtype=float))",
        )
    announced = math.prod(shape) * dtype.itemsize
    check_bytes(path, name, announced)
    held = size - stream.tell()
    if min(shape, default=0) < 0 or announced != held:
        raise ValueError(f"the header announces {announced} bytes of shape {shape}, the file holds {held}")
    return shape, dtype
