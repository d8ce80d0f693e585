"""How alike two pixels are: the distance of the patches around them, and the weight that follows from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmodel._arrays import check_choice, check_count, check_number
from nlmodel.errors import DomainError


TAPERS = ("gaussian", "uniform")
EXPONENTIALS = ("exact", "schraudolph")
LARGEST = 1e150  # of h and sigma, whose squares must be numbers
CUTOFF = 5.0  # distance beyond which the approximate exponential is replaced by 0


@dataclass(frozen=True)
class PatchWeights:
    """omega_ij = exp(-max(0, d_ij)) for pixels i, j at most `reach` apart along each axis, otherwise 0.

        d_ij = sum_k a_k (|v(i+k) - v(j+k)|^2 / C - 2 sigma^2) / h^2          Buades, Coll, Morel 2011, section 3

    v is the image of C channels, reflected at its border, k runs over a square patch with weights a of sum 1, and
    2 sigma^2 is what noise of variance sigma^2 adds to each squared difference.

    Parameters
    ----------
    h : how different, in units of the image, patches may be; about 0.6 to 0.8 sigma where sigma is given.
    patch : side of a patch, odd.
    reach : half the side of the search window.
    sigma : standard deviation of the noise.
    taper : a of a patch: "gaussian", of standard deviation (patch - 1) / 4, or "uniform", which is faster.
    exponential : "exact", or "schraudolph", the piecewise linear approximation of Schraudolph 1999 (within 6.2 %), with
        weight 0 where some, but not all, first rows of a patch together are farther than 5: with the Gaussian taper
        this is what scikit-image's slow mode computes.
    """

    h: float
    patch: int = 7
    reach: int = 11
    sigma: float = 0.0
    taper: str = "gaussian"
    exponential: str = "exact"

    def __post_init__(self) -> None:
        check_number(self.h, "h", above=0, below=LARGEST)
        check_count(self.patch, "patch", at_least=1)
        check_count(self.reach, "reach")
        check_number(self.sigma, "sigma", at_least=0, below=LARGEST)
        check_choice(self.taper, "taper", TAPERS)
        check_choice(self.exponential, "exponential", EXPONENTIALS)
        if self.patch % 2 == 0:
            raise DomainError("patch must be odd", got=self.patch, why="a patch has a pixel in its middle")

    @property
    def radius(self) -> int:
        """How far a patch extends from its middle."""
        return self.patch // 2

    @property
    def taps(self) -> np.ndarray:
        """(patch,) weights along one axis, of sum 1; a is their product with themselves."""
        k = np.arange(self.patch) - self.radius
        width = self.radius / 2 if self.taper == "gaussian" and self.radius else np.inf
        taps = np.exp(-0.5 * (k / width) ** 2)
        return taps / np.sum(taps)

    @property
    def shifts(self) -> np.ndarray:
        """(S, 2) one of each two opposite offsets j - i within the reach: the later pixel minus the earlier one."""
        t = np.arange(-self.reach, self.reach + 1)
        rows, columns = (x.ravel() for x in np.meshgrid(t[self.reach :], t, indexing="ij"))
        later = (rows > 0) | (columns > 0)
        return np.stack([rows[later], columns[later]], axis=1)
