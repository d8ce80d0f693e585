"""Patches of an image as features."""

from __future__ import annotations

import math

import numpy as np

from nlmodel._arrays import check_count
from nlmodel.errors import DtypeError, NonFiniteError, ShapeError


def patches(image: np.ndarray, size: int = 4, positions: int = 900) -> np.ndarray:
    """Square patches of an image on a regular grid, one row a patch.

        X_i = (image[a s : a s + p, b s : b s + p, :]) flattened,       i = (a, b) in row-major order

    with p = `size` and the smallest stride s that gives at most `positions` patches.

    Parameters
    ----------
    image : (height, width) or (height, width, channels) array: unsigned integers of 8 or 16 bits, scaled to [0, 1]
        in float64, or floats, taken as they are.
    size : side p of a patch in pixels.
    positions : largest number of patches M.

    Returns  (M, p * p * channels) array.
    Raises   ShapeError: not an image, or smaller than one patch.  DtypeError: another element type.
        NonFiniteError: NaN or infinity in a patch.
    Cost     O(M p^2) time and memory beside the image.

    Example
    -------
    >>> patches(np.arange(16, dtype=np.uint8).reshape(4, 4), size=2, positions=4).shape
    (4, 4)
    """
    check_count(size, "size", at_least=1)
    check_count(positions, "positions", at_least=1)
    if not isinstance(image, np.ndarray) or not (image.dtype in (np.uint8, np.uint16) or image.dtype.kind == "f"):
        raise DtypeError(
            "image must be an array of uint8, uint16 or floats",
            got=f"dtype {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__,
            fix="pass numpy.asarray(picture)",
        )
    if image.ndim not in (2, 3) or min(image.shape[:2]) < size or 0 in image.shape:
        raise ShapeError(
            f"image must be (height, width) or (height, width, channels) and hold a patch of {size} x {size}",
            got=f"shape {image.shape}",
            fix="pass a larger image or a smaller size",
        )
    stride = _stride(image.shape[:2], size, positions)
    windows = np.lib.stride_tricks.sliding_window_view(image, (size, size), axis=(0, 1))[::stride, ::stride]
    values = np.moveaxis(windows, 2, -1) if image.ndim == 3 else windows  # (rows, columns, p, p, channels)
    rows = values.reshape(values.shape[0] * values.shape[1], -1)
    if image.dtype.kind == "u":
        return rows / float(np.iinfo(image.dtype).max)
    if not np.all(np.isfinite(rows)):
        raise NonFiniteError("image must be finite", got="NaN or infinity among its pixels")
    return rows


def patch_grid(shape: tuple[int, int], size: int = 4, positions: int = 900) -> tuple[int, int]:
    """Rows and columns of the grid on which `patches` takes them, for an image of this height and width."""
    stride = _stride(shape, size, positions)
    return (shape[0] - size) // stride + 1, (shape[1] - size) // stride + 1


def _stride(shape: tuple[int, ...], size: int, positions: int) -> int:
    """Smallest s with ((height - p) // s + 1) ((width - p) // s + 1) <= positions."""
    rows, columns = shape[0] - size, shape[1] - size
    stride = max(1, math.isqrt((rows + 1) * (columns + 1) // (positions + 1)))
    while (rows // stride + 1) * (columns // stride + 1) > positions:
        stride += 1
    return stride
