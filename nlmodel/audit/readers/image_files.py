"""`.png` and `.jpg`: pixels in their own integer type, with a cap on how many are unpacked."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from nlmodel.audit.packages import require
from nlmodel.audit.readers.entry import Entry, printable, refusing
from nlmodel.errors import FileError


LARGEST_PIXELS = 50_000_000
GREY = {"1", "L", "LA", "I;16", "I;16B", "I;16L", "I"}


def image_entries(path: Path) -> list[Entry]:
    """The image as (height, width) or (height, width, 3); transparency is dropped."""
    image = _open(path)
    width, height = image.size
    grey = image.mode in GREY
    deep = image.mode.startswith("I")
    image.close()
    shape = (height, width) if grey else (height, width, 3)

    def load() -> np.ndarray:
        with refusing(path, "a PNG or JPEG image"), _open(path) as picture:
            if deep:
                return np.asarray(picture).astype(np.uint16)
            return np.asarray(picture.convert("L" if grey else "RGB"))

    return [Entry(printable(path.stem), shape, "uint16" if deep else "uint8", load, image=True)]


def _open(path: Path):
    """The image with its header read and its size checked, before a pixel is unpacked."""
    pillow = require("PIL.Image")
    try:
        with refusing(path, "a PNG or JPEG image", but=pillow.DecompressionBombError), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's first, milder cap on pixels
            image = pillow.open(path, formats=("PNG", "JPEG"))
    except pillow.DecompressionBombError as error:
        raise _too_many(path, "a size beyond Pillow's own limit") from error
    width, height = image.size
    if width * height > LARGEST_PIXELS:
        image.close()
        raise _too_many(path, f"{width} x {height}")
    return image


def _too_many(path: Path, got: str) -> FileError:
    return FileError(
        f"{printable(path.name)} has too many pixels",
        got=got,
        why=f"at most {LARGEST_PIXELS:,} are unpacked, so that a small file cannot fill the memory",
        fix="scale the image down",
    )
