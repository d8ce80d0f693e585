"""One batch file: its bytes into images and labels, every one of them checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nlmodel.errors import FileError
from paper_repro.data.layout import PIXELS, SIDE, Layout
from paper_repro.data.unpickle import ByteArray, unpickle


@dataclass(frozen=True, eq=False, repr=False)
class Batch:
    """Images uint8 (n, 3, 32, 32), labels and superclass labels int64 (n,) of one file (None: there are none)."""

    images: np.ndarray
    labels: np.ndarray
    superlabels: np.ndarray | None


def parse(data: bytes, layout: Layout, stem: str, distribution: str, source: str, *, whole: bool = True) -> Batch:
    """The batch in `data`, the content of the file `source`.

    Parameters
    ----------
    whole : the batch must hold as many images as the official one; False: at most as many.

    Raises `FileError`, which names the file, what was expected and what it holds.
    """
    read = from_binary if distribution == "binary" else from_python
    pixels, labels, superlabels = read(data, layout, source)
    expected = layout.images_of(stem)
    if not 0 < len(pixels) <= expected or (whole and len(pixels) != expected):
        raise FileError(f"{source} must hold {expected} images", got=len(pixels), fix="use a complete copy of the set")
    check_range(labels, layout.classes, "labels", source)
    if superlabels is not None:
        check_range(superlabels, layout.superclasses, "superclass labels", source)
    return Batch(pixels.reshape(-1, 3, SIDE, SIDE), labels, superlabels)


Parts = tuple[np.ndarray, np.ndarray, np.ndarray | None]


def from_binary(data: bytes, layout: Layout, source: str) -> Parts:
    """Records of [superclass,] class, 3072 pixels."""
    record = layout.label_bytes + PIXELS
    if len(data) % record:
        raise FileError(
            f"{source} must consist of records of {record} bytes",
            got=f"{len(data)} bytes, {len(data) % record} too many",
            why="a file that ends inside a record was cut off, or is of another set",
            fix="copy or unpack the file again",
        )
    records = np.frombuffer(data, dtype=np.uint8).reshape(-1, record)
    labels = records[:, : layout.label_bytes].astype(np.int64)
    return records[:, layout.label_bytes :], labels[:, -1], labels[:, 0] if layout.superclasses else None


def from_python(data: bytes, layout: Layout, source: str) -> Parts:
    """A pickled dictionary with the entries data and labels, or fine_labels and coarse_labels."""
    entries = unpickle(data, source)
    array = entries.get("data")
    if not isinstance(array, ByteArray):
        keys = ", ".join(repr(key[:20]) for key in list(entries)[:8])
        raise FileError(f"{source} must have an array of bytes under 'data'", got=f"entries {keys or 'none'}")
    content = array.data(source)
    if not array.is_matrix(columns=PIXELS, size=len(content)):
        raise FileError(
            f"{source} must have an array of shape (n, {PIXELS}) under 'data'",
            got=f"{array.shape_text()} with {len(content)} bytes",
        )
    pixels = np.frombuffer(content, dtype=np.uint8).reshape(array.shape, order="F" if array.fortran else "C")
    keys = ("fine_labels", "coarse_labels") if layout.superclasses else ("labels",)
    found = [label_list(entries, key, len(pixels), source) for key in keys]
    return pixels, found[0], found[1] if layout.superclasses else None


def label_list(entries: dict[str, Any], key: str, count: int, source: str) -> np.ndarray:
    """The list under `key`: `count` whole numbers of one byte each."""
    found = entries.get(key)
    if type(found) is not list or len(found) != count or not all(type(x) is int and 0 <= x < 256 for x in found):
        size = f"{len(found)} entries" if isinstance(found, list) else "none"
        raise FileError(f"{source} must have a list of {count} labels of one byte under '{key}'", got=size)
    return np.array(found, dtype=np.int64)


def check_range(labels: np.ndarray, classes: int, what: str, source: str) -> None:
    """Raise unless all labels lie in 0, ..., classes - 1."""
    if labels.max() >= classes:
        at = int(np.argmax(labels >= classes))
        raise FileError(
            f"{what} of {source} must lie in 0, ..., {classes - 1}",
            got=f"{labels[at]} for image {at}",
            fix="copy or unpack the file again",
        )
