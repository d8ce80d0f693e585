"""What is subtracted from the pixels, and what they are multiplied by."""

from __future__ import annotations

import numpy as np

from nlmodel.errors import DomainError


PREPROCESSING = ("pixel_mean", "mean_std")


def normalization(images: np.ndarray, preprocessing: str, pixel_scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean (3, 32, 32) in units of one byte and factor (3,), both float32, of x = (pixel - mean) factor.

        pixel_mean   mean of each pixel and channel over the images,   factor = pixel_scale / 255
        mean_std     mean of each channel over all pixels,             factor = 1 / standard deviation

    In the second the scale cancels, for the standard deviation carries it too. The subtraction comes first, so that no
    fused multiply-add can round differently on another device. The sums are exact, in integers.

    Raises `DomainError` for "mean_std" of images with a channel of one value.
    """
    totals, squares = np.zeros(images.shape[1:], dtype=np.int64), np.zeros(3, dtype=np.int64)
    for start in range(0, len(images), 1000):  # in parts, to spare memory
        part = images[start : start + 1000].astype(np.int64)
        totals += part.sum(axis=0)
        squares += (part**2).sum(axis=(0, 2, 3))
    if preprocessing == "pixel_mean":
        mean, factor = totals / len(images), np.full(3, pixel_scale / 255)
    else:
        n = images.size // 3
        sums = totals.sum(axis=(1, 2))
        variances = [int(n) * int(q) - int(s) ** 2 for q, s in zip(squares, sums, strict=True)]  # n^2 times
        if 0 in variances:
            raise DomainError("images must vary in every channel", got=f"{variances.index(0)} of one value")
        mean = np.broadcast_to((sums / n)[:, None, None], totals.shape)
        factor = n / np.sqrt(np.array(variances, dtype=float))
    return mean.astype(np.float32), factor.astype(np.float32)
