"""Non-local means of OpenCV, which takes and returns bytes."""

from __future__ import annotations

import numpy as np

from benchmarks.peers.installed import require


def denoise(image: np.ndarray, patch: int, reach: int, h: float) -> np.ndarray:
    """Of numbers between 0 and 1, rounded to 256 levels before and after; one strength for all channels."""
    levels = np.clip(np.rint(255 * image), 0, 255).astype(np.uint8)
    found = require("cv2").fastNlMeansDenoising(levels, None, 255 * h, patch, 2 * reach + 1)
    return found.astype(image.dtype) / 255
