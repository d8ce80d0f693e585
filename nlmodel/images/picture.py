"""A picture made of formulas, to denoise: shading, edges, stripes, a zone plate and thin lines."""

from __future__ import annotations

import numpy as np

from nlmodel._arrays import check_count


def picture(size: int, *, colour: bool = False) -> np.ndarray:
    """Grey values, or red, green and blue, between 0 and 1.

    Parameters
    ----------
    size : rows and columns.

    Returns
    -------
    (size, size) or (size, size, 3) float64 array.
    """
    check_count(size, "size", at_least=1)
    y, x = np.mgrid[:size, :size] / max(1, size - 1)
    pixels = size / 512  # lines and stripes keep their width in the picture
    v = 0.35 + 0.4 * y - 0.1 * x
    v = np.where(x + 0.4 * np.sin(3 * y) < 0.42, 0.75 - 0.5 * y, v)
    v = np.where((x - 0.68) ** 2 + (y - 0.3) ** 2 < 0.2**2, 0.25 + 0.6 * x - 0.3 * y, v)
    bricks = (np.sin(60 * y) > 0) ^ (np.sin(40 * x) > 0)
    v = np.where((x > 0.55) & (y > 0.62), 0.3 + 0.35 * bricks, v)
    rings = 0.5 + 0.4 * np.cos(300 * ((x - 0.2) ** 2 + (y - 0.75) ** 2))
    v = np.where((x - 0.2) ** 2 + (y - 0.75) ** 2 < 0.17**2, rings, v)
    line = np.abs(np.sin(25 * (x + y))) < 0.06 / max(pixels, 1)
    v = np.where(line & (y < 0.4) & (x < 0.4), 0.1, v)
    if not colour:
        return v
    return np.clip(np.stack([v, 0.8 * v + 0.2 * x * v, 1.1 * v - 0.3 * v * y], axis=-1), 0, 1)
