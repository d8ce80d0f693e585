"""The Gaussian as a short Fourier series on a box, with a bound of its error."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import erfcinv


@dataclass(frozen=True)
class GaussianSeries:
    """exp(-x^2 / (2 s^2)) for |x| <= span as a trigonometric polynomial, one axis.

        sum_{|k| <= n} a_k exp(2 pi i k x / P),    a_k = (s sqrt(2 pi) / P) exp(-(2 pi k s / P)^2 / 2) > 0

    By Poisson's summation the whole series is the Gaussian with its images at the distances m P.  So with
    |x| <= span the error is at most `images` + `tail`, where

        images = sum_{m >= 1} exp(-(m P - span)^2 / (2 s^2)) + exp(-(m P)^2 / (2 s^2))
        tail   = sum_{|k| > n} a_k <= erfc(sqrt(2) pi n s / P)

    since a term of the first sum grows, one of its mirror images falls with |x|, and a_k is below its integral.

    Attributes
    ----------
    period : P.
    highest : n, the highest wave number.
    images, tail : the two parts of the error bound.
    """

    period: float
    highest: int
    scale: float
    images: float
    tail: float

    @classmethod
    def within(cls, share: float, span: float, scale: float) -> GaussianSeries:
        """The shortest period and the fewest waves (but for roundings up) for which either part is <= `share`."""
        period = span + scale * math.sqrt(2 * math.log(4 / share))
        highest = max(1, math.ceil(period / scale / (math.sqrt(2) * math.pi) * float(erfcinv(share))))
        return cls(period, highest, scale, _images(period, span, scale), _tail(period, highest, scale))

    @property
    def coefficients(self) -> np.ndarray:
        """a_k for k = -n..n."""
        phase = 2 * math.pi * self.scale / self.period
        k = np.arange(-self.highest, self.highest + 1)
        return phase / math.sqrt(2 * math.pi) * np.exp(-0.5 * (phase * k) ** 2)


def _images(period: float, span: float, scale: float) -> float:
    """The fifth image is below the smallest float: its distance is more than 4 P, and P > 2 s."""
    distances = [m * period - x for m in range(1, 5) for x in (span, 0.0)]
    return math.fsum(math.exp(-0.5 * (r / scale) ** 2) for r in distances)


def _tail(period: float, highest: int, scale: float) -> float:
    return math.erfc(math.sqrt(2) * math.pi * highest * scale / period)
