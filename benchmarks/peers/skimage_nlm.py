"""Non-local means of scikit-image."""

from __future__ import annotations

import numpy as np

from benchmarks.peers.installed import require


def denoise(image: np.ndarray, patch: int, reach: int, h: float, sigma: float, *, fast: bool) -> np.ndarray:
    """Its fast mode, by integral images, or its slow mode."""
    function = require("skimage.restoration").denoise_nl_means
    axis = None if image.ndim == 2 else -1
    return function(image, patch, reach, h, fast, sigma, channel_axis=axis)
