"""What an operator L = K - diag(exit rate) tells of itself, wherever its positions are."""

from __future__ import annotations

from typing import Any

from nlmodel._arrays import Array
from nlmodel.normalization import Potentials


class Described:
    """The properties that follow from K, `averaging`, and from its normalisation, `potentials`."""

    averaging: Any
    potentials: Potentials

    @property
    def dtype(self) -> Any:
        return self.averaging.dtype

    @property
    def normalize(self) -> str:
        """The name of the normalisation."""
        return self.potentials.how

    @property
    def keeps(self) -> frozenset[str]:
        """Names of the theorems that hold, see `Potentials`."""
        return self.potentials.keeps

    @property
    def degree(self) -> Array:
        """C_i = sum_j omega_ij w_j of the raw affinity, (..., M); inf beyond the range.  Tao et al. 2018, eq. (9)."""
        return self.potentials.degree

    @property
    def exit_rate(self) -> Array:
        """What L subtracts on the diagonal, (..., M)."""
        return self.potentials.exit_rate

    @property
    def measure(self) -> Array | None:
        """Weights m, unique up to a factor, with m_i K_ij = m_j K_ji, or None when none are known."""
        return self.potentials.measure

    @property
    def reversible(self) -> bool:
        """Whether a measure is known in which L is self-adjoint."""
        return self.measure is not None

    @property
    def nonnegative(self) -> bool:
        """Whether every K_ij >= 0."""
        return self.averaging.nonnegative
