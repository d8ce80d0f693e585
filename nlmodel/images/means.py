"""Non-local means: each pixel becomes the average of those whose patches look like its own."""

from __future__ import annotations

import importlib
import importlib.util
import math
from functools import cache
from types import ModuleType

import numpy as np

from nlmodel._arrays import check_array
from nlmodel.errors import DomainError, DtypeError, ShapeError
from nlmodel.images.patches import PatchWeights
from nlmodel.images.plan import Plan
from nlmodel.operators.threads import in_order


ROWS = 64  # of a strip: its sums and the rows it looks at stay in the cache of a core


def nonlocal_means(image: np.ndarray, weights: PatchWeights) -> np.ndarray:
    """K v, the row-normalised average of the pixels of an image with the weights of their patches.

        (K v)_i = sum_j omega_ij v_j / sum_j omega_ij          Buades, Coll, Morel 2005, section 2

    One step of length 1 with forward Euler of the operator L = K - I of `patch_operator`.

    Parameters
    ----------
    image : (rows, columns) or (rows, columns, channels) NumPy array, float64 or float32.
    weights : of two patches.

    Returns
    -------
    An array like the image.

    Accuracy   rounding of sums, and of the exponential: 1e-13 in float64 and 3e-5 in float32, relative, at most.
               The uniform taper adds and subtracts along columns: to rounding of the largest squared difference there.
    Cost       each pair of pixels once: O(reach^2 patch) a pixel, O(reach^2 log patch) with the uniform taper; memory
               for a few copies of the image.  All cores; compiled by numba where that is installed.
    """
    v = checked(image, weights)
    rows, r = v.shape[1], weights.radius
    padded = np.pad(v, ((0, 0), (r, r), (r, r)), mode="reflect")
    plan = Plan.of(weights, len(v), v.dtype)
    total, weight = np.zeros_like(v), np.zeros_like(v[0])
    starts = range(0, rows, ROWS)
    parts = in_order(lambda first: strips().strip(padded, first, min(rows, first + ROWS), plan), starts)
    for first, (sums, ones) in zip(starts, parts, strict=True):
        total[:, first : first + len(ones)] += sums
        weight[first : first + len(ones)] += ones
    total /= weight
    return np.ascontiguousarray(np.moveaxis(total, 0, -1)).reshape(image.shape)


def checked(image: np.ndarray, weights: PatchWeights) -> np.ndarray:
    """The image as a (channels, rows, columns) array, and the weights when they are some."""
    if not isinstance(weights, PatchWeights):
        raise DtypeError("weights must be a PatchWeights", got=type(weights).__name__, fix="pass PatchWeights(h=...)")
    if not isinstance(image, np.ndarray):
        raise DtypeError("image must be a NumPy array", got=type(image).__name__)
    check_array(image, "image")
    if image.ndim not in (2, 3):
        raise ShapeError("image must be (rows, columns) or (rows, columns, channels)", got=f"shape {image.shape}")
    v = image[None] if image.ndim == 2 else np.moveaxis(image, -1, 0)
    spread = float(np.max(v)) - float(np.min(v))
    largest = max(spread, weights.sigma, 1.0) / min(weights.h, 1.0)
    if not 2 * math.sqrt(len(v)) * weights.patch * largest < math.sqrt(np.finfo(v.dtype).max):
        raise DomainError(
            "the squared distance of two patches must be within the range of the image's numbers",
            got=f"values {spread:.3g} apart, h = {weights.h:g}, sigma = {weights.sigma:g} in {v.dtype}",
            why="the sums would be infinite",
            fix="divide image, h and sigma by the largest value",
        )
    return np.ascontiguousarray(v, dtype=image.dtype.newbyteorder("="))


@cache
def strips() -> ModuleType:
    """The compiled loops where numba is installed, else those of NumPy."""
    kind = "portable" if importlib.util.find_spec("numba") is None else "compiled"
    return importlib.import_module(f"nlmodel.images.strips_{kind}")
