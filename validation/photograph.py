"""Features of a real photograph: the picture of Grace Hopper that ships with matplotlib."""

from __future__ import annotations

from functools import cache

import numpy as np

from nlmodel._arrays import check_count


@cache
def photograph() -> np.ndarray:
    """The photograph as (rows, columns, 3) float64 in [0, 1], read-only."""
    from matplotlib.cbook import get_sample_data
    from matplotlib.image import imread

    pixels = imread(str(get_sample_data("grace_hopper.jpg", asfileobj=False))).astype(np.float64) / 255
    pixels.flags.writeable = False
    return pixels


def patches(*, side: int = 4, stride: int = 40) -> np.ndarray:
    """Square patches of the photograph as features, standardised channel by channel.

    Parameters
    ----------
    side : pixels along an edge of a patch.
    stride : pixels between the corners of neighbouring patches.

    Returns  (M, 3 side^2) float64 array, rows in reading order; M = 195 with the defaults.
    """
    check_count(side, "side", at_least=1)
    check_count(stride, "stride", at_least=1)
    pixels = photograph()
    rows, columns = (range(0, extent - side + 1, stride) for extent in pixels.shape[:2])
    X = np.array([pixels[i : i + side, j : j + side].ravel() for i in rows for j in columns])
    return (X - X.mean(axis=0)) / X.std(axis=0)
