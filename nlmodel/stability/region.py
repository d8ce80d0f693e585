"""What is known of spec(-L): its points, an interval or a disc, and the step limit that each implies.

A mode of -L with eigenvalue s and a mode of W with eigenvalue mu are multiplied by g = 1 - tau q, q = mu s, and

    |g| <= 1  <=>  tau |q|^2 <= 2 Re q  <=>  tau <= 2 Re(1/q)     (q != 0, tau > 0),

so the limit is the smallest 2 Re(1/q), and 0 as soon as one Re q <= 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Region(Protocol):
    """A set that contains spec(-L)."""

    def limits(self, mu: np.ndarray, uncertainty: float) -> tuple[np.ndarray, np.ndarray]:
        """For each nonzero mu, known up to `uncertainty`: the step limit, and the s that decides."""
        ...


@dataclass(frozen=True)
class Interval:
    """low <= s <= high, both ends attained: all that counts when the spectrum is real.

    For s > 0, 2 Re(1/(mu s)) = 2 Re(1/mu)/s is smallest at s = high, where Re mu > 0 is needed; s < 0 needs
    Re mu < 0 and is decided at s = low; where both signs occur no mu != 0 is stable.  `nonlocal_spectrum` sets an end
    that is zero within rounding to zero, so the kernel of L takes no part.
    """

    low: float
    high: float

    def limits(self, mu: np.ndarray, uncertainty: float) -> tuple[np.ndarray, np.ndarray]:
        best, where = np.full(mu.shape, np.inf), np.zeros(mu.shape, complex)
        for end in (self.high, self.low):
            if end:
                stable = np.real(mu) * np.sign(end) > uncertainty
                tau = np.where(stable, 2 * np.real(1 / mu) / end, 0.0)
                where = np.where(tau < best, end, where)
                best = np.minimum(tau, best)
        return best, where


@dataclass(frozen=True, eq=False)
class Points:
    """The eigenvalues s of -L that are not zero, each known up to `uncertainty`; complex.

    For K >= 0 they lie in `disc`, which bounds the limit from below where a slow s is drowned in its uncertainty.
    """

    s: np.ndarray
    uncertainty: float
    disc: Disc | None

    def limits(self, mu: np.ndarray, uncertainty: float) -> tuple[np.ndarray, np.ndarray]:
        if not self.s.size:
            return np.full(mu.shape, np.inf), np.zeros(mu.shape, complex)
        q = mu[:, None] * self.s
        doubt = np.abs(mu)[:, None] * self.uncertainty + uncertainty * np.abs(self.s)
        tau = np.where(np.real(q) > doubt, 2 * np.real(1 / q), 0.0)
        at = np.argmin(tau, axis=1)
        best = tau[np.arange(len(mu)), at]
        return best if self.disc is None else np.maximum(best, self.disc.limits(mu, uncertainty)[0]), self.s[at]


@dataclass(frozen=True)
class Disc:
    """|s - d| <= d, where -L of a nonnegative K lies by Gershgorin: row i gives |s - d_i| <= d_i = r_i - K_ii.

    There Re(1/s) >= 1/(2 d), with every direction at s = 0 allowed: a real mu > 0 has the limit 1/(mu d), no other
    mu has a positive one.
    """

    radius: float

    def limits(self, mu: np.ndarray, uncertainty: float) -> tuple[np.ndarray, np.ndarray]:
        if not self.radius:
            return np.full(mu.shape, np.inf), np.zeros(mu.shape, complex)
        positive = (np.real(mu) > uncertainty) & (np.abs(np.imag(mu)) <= uncertainty)
        tau = np.where(positive, 1 / (np.abs(mu) * self.radius), 0.0)
        return tau, np.full(mu.shape, 2 * self.radius, complex)
