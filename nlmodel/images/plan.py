"""What the inner loops need to know, in the precision of the image."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nlmodel.images.decay import DOUBLINGS, FARTHEST, coefficients, schraudolph
from nlmodel.images.patches import CUTOFF, PatchWeights


class Plan(NamedTuple):
    """Of the weights, for one number of channels and one precision.

    Attributes
    ----------
    shifts : (S, 2) offsets.
    taps : (patch,) weights along an axis; with `uniform`, for sums that run along, all are 1.
    noise : what is subtracted of the squared difference of two pixels.
    scale : of their weighted sum over a patch.
    approximate, cutoff : Schraudolph's exponential, 0 where the first rows exceed the cutoff.
    polynomial, doublings, farthest : the exact one; highest power first, and a two for each squaring.
    own : the weight of a pixel in its own average.
    """

    reach: int
    shifts: np.ndarray
    taps: np.ndarray
    uniform: bool
    noise: np.floating
    scale: np.floating
    approximate: bool
    cutoff: np.floating
    polynomial: tuple[np.floating, ...]
    doublings: tuple[int, ...]
    farthest: np.floating
    own: np.floating

    @classmethod
    def of(cls, weights: PatchWeights, channels: int, dtype: np.dtype) -> Plan:
        """For images of so many channels."""
        number, approximate = dtype.type, weights.exponential == "schraudolph"
        uniform = weights.taper == "uniform" and not approximate
        share = weights.patch**2 if uniform else 1
        return cls(
            reach=weights.reach,
            shifts=weights.shifts,
            taps=(np.ones(weights.patch) if uniform else weights.taps).astype(dtype),
            uniform=uniform,
            noise=number(2 * channels * weights.sigma**2),
            scale=number(1 / (channels * share * weights.h**2)),
            approximate=approximate,
            cutoff=number(CUTOFF),
            polynomial=tuple(coefficients(dtype)[::-1]),
            doublings=(2,) * DOUBLINGS[dtype.name],
            farthest=number(FARTHEST[dtype.name]),
            own=schraudolph(np.zeros(1, dtype))[0] if approximate else number(1),
        )
