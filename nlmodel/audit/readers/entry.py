"""One array inside a file: what is known before its data is read, and how to read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nlmodel.errors import FileError, NlmodelError


LARGEST = 512 * 2**20  # bytes of one array: 8192 x 8192 in float64


@dataclass(frozen=True)
class Entry:
    """A named array: `shape` and `dtype` come from the header, `load()` reads the data."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    load: Callable[[], np.ndarray] = field(repr=False)
    image: bool = False


@contextmanager
def refusing(path: Path, kind: str, *, but: type[Exception] = NlmodelError) -> Iterator[None]:
    """Turn whatever a decoder raises on a bad file, our own errors and `but` excepted, into one `FileError`."""
    try:
        yield
    except (NlmodelError, but):
        raise
    except Exception as error:  # decoders fail in many ways; which one says nothing to the user
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise FileError(
            f"{printable(path.name)} cannot be read as {kind}",
            got=printable(reason),
            why="the file is damaged, incomplete, or of another kind than its name says",
            fix="write the file again",
        ) from error


def check_bytes(path: Path, name: str, size: int) -> None:
    """Refuse an array whose header announces more than `LARGEST` bytes, before anything is allocated."""
    if size > LARGEST:
        raise FileError(
            f"{printable(path.name)}: array {name!r} is too large to audit",
            got=f"{size / 2**20:,.0f} MiB",
            why=f"the analysis is dense and takes at most {LARGEST // 2**20} MiB a matrix",
            fix="save a sample of the positions, or one matrix",
        )


def printable(text: str) -> str:
    """`text` without control characters, so that a name in a file cannot steer the terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
