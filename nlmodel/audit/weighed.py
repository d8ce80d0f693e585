"""What every section of a weight's audit looks at, found once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nlmodel.spectrum import bottleneck_eigenvalues, inertia, low_rank_inertia, symmetric_part


@dataclass(frozen=True, eq=False, repr=False)
class Weighed:
    """A weight W, its factors W_Z and W_g where they are known, and the precision it was stored in."""

    matrix: np.ndarray
    factors: tuple[np.ndarray, np.ndarray] | None
    unit: float

    @property
    def channels(self) -> int:
        """C."""
        return len(self.matrix)

    @cached_property
    def singular(self) -> np.ndarray:
        """Singular values of W."""
        return np.linalg.svd(self.matrix, compute_uv=False)

    @cached_property
    def rank(self) -> int:
        """Numerical rank r: singular values above 8 C eps ||W||, eps of the stored precision."""
        return int(np.sum(self.singular > 8 * self.channels * self.unit * self.singular[0]))

    @cached_property
    def mu(self) -> np.ndarray:
        """Eigenvalues of W; of a bottleneck the r that can differ from 0."""
        if self.factors is not None:
            return bottleneck_eigenvalues(*self.factors)
        return np.linalg.eigvals(self.matrix).astype(complex)

    @cached_property
    def symmetric(self) -> np.ndarray:
        """Eigenvalues of W~ = (W + W^T)/2, increasing."""
        return np.linalg.eigvalsh(symmetric_part(self.matrix))

    @cached_property
    def inertia(self) -> tuple[int, int, int]:
        """Numbers of positive, negative and zero eigenvalues of W~, zero being what rounding of W could make of it.

        Of a bottleneck at most rank [W_Z, W_g^T] are not zero, whatever rounding adds.
        """
        size = float(np.max(np.abs(self.symmetric)))
        positive, negative, _ = inertia(self.matrix, tol=8 * self.channels * self.unit * size).signs
        if self.factors is not None:
            exact = low_rank_inertia(*self.factors).signs
            positive, negative = min(positive, exact[0]), min(negative, exact[1])
        return positive, negative, self.channels - positive - negative
