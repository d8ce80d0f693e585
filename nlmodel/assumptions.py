"""What a given affinity matrix satisfies of the assumptions that the theory rests on, measured."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import ArpackNoConvergence, eigsh

from nlmodel._arrays import Array, check_array, check_square, dtype_eps, to_numpy
from nlmodel.errors import ConvergenceError, DomainError, ShapeError


DENSE_BELOW = 512
"""Sparse matrices up to this size are diagonalised densely, larger ones by Lanczos."""


class Assumption(NamedTuple):
    """One line of the report: what was measured, whether it holds, and what it is needed for."""

    name: str
    value: float
    holds: bool
    meaning: str


@dataclass(frozen=True, repr=False)
class AssumptionReport:
    """The measured assumptions of one affinity matrix omega of size M.

    Numbers are NaN, and nothing holds, when omega is not finite. `tolerance` = 4 M eps(dtype) is relative to
    the largest entry, to the largest absolute row sum for the eigenvalue, and to 1 for row and column sums.

    Attributes
    ----------
    finite : every entry is finite.
    largest_entry : max |omega_ij|.
    symmetry_defect : max |omega - omega^T| / max |omega|.
    smallest_entry : min omega_ij.
    smallest_eigenvalue : of (omega + omega^T)/2.
    row_sums, column_sums : (smallest, largest).
    hilbert_schmidt : (sum_ij omega_ij^2 |cell_i| |cell_j|)^(1/2), which tends to the L2 norm of rho.
    sup_row_sum, sup_column_sum : max_i sum_j |omega_ij| |cell_j|, and with i and j exchanged.
    norm : max_i sum_j |omega_ij|.
    """

    size: int
    tolerance: float
    finite: bool
    largest_entry: float = math.nan
    symmetry_defect: float = math.nan
    smallest_entry: float = math.nan
    smallest_eigenvalue: float = math.nan
    row_sums: tuple[float, float] = (math.nan, math.nan)
    column_sums: tuple[float, float] = (math.nan, math.nan)
    hilbert_schmidt: float = math.nan
    sup_row_sum: float = math.nan
    sup_column_sum: float = math.nan
    norm: float = math.nan

    @property
    def symmetric(self) -> bool:
        """omega = omega^T to rounding."""
        return self.symmetry_defect <= self.tolerance

    @property
    def nonnegative(self) -> bool:
        """omega_ij >= 0 to rounding."""
        return self.smallest_entry >= -self.tolerance * self.largest_entry

    @property
    def positive_semidefinite(self) -> bool:
        """omega is symmetric with eigenvalues >= 0 to rounding."""
        return self.symmetric and self.smallest_eigenvalue >= -self.tolerance * self.norm

    @property
    def row_defect(self) -> float:
        """max_i |C_i - 1|, C_i = sum_j omega_ij."""
        return _distance_from_one(self.row_sums)

    @property
    def stochastic_defect(self) -> float:
        """The larger of max_i |row sum - 1| and max_j |column sum - 1|."""
        return float(np.maximum(self.row_defect, _distance_from_one(self.column_sums)))

    @property
    def unit_rows(self) -> bool:
        """Every row sums to 1 to rounding."""
        return self.row_defect <= self.tolerance

    @property
    def doubly_stochastic(self) -> bool:
        """Nonnegative, and every row and column sums to 1 to rounding."""
        return self.nonnegative and self.stochastic_defect <= self.tolerance

    @property
    def positive_rows(self) -> bool:
        """Every row sum is > 0, so that omega can be normalised."""
        return self.row_sums[0] > 0

    def table(self) -> tuple[Assumption, ...]:
        """The rows (name, value, holds, meaning) of the report."""
        bounded = self.finite and math.isfinite(self.norm)
        rows = (
            ("finite entries", self.largest_entry, self.finite, "largest magnitude; all else needs it"),
            (
                "(10) Hilbert-Schmidt norm",
                self.hilbert_schmidt,
                bounded,
                "finite for every matrix; only a bound that stays under refinement says anything",
            ),
            (
                "sup row sum",
                self.sup_row_sum,
                bounded,
                "sup_x int |rho(x, y)| dy; where it stays bounded under refinement, L is bounded (Schur)",
            ),
            ("sup column sum", self.sup_column_sum, bounded, "the same for the transpose"),
            (
                "positive row sums",
                self.row_sums[0],
                self.positive_rows,
                "smallest C_i, the divisor of row i",
            ),
            ("(11) unit row sums", self.row_defect, self.unit_rows, "max |C_i - 1|: omega is its own K"),
            ("(12) symmetric", self.symmetry_defect, self.symmetric, "relative defect: K is reversible"),
            ("(12) nonnegative", self.smallest_entry, self.nonnegative, "smallest entry: maximum principle"),
            (
                "(11) and (12) doubly stochastic",
                self.stochastic_defect,
                self.symmetric and self.doubly_stochastic,
                "max |sum - 1| over rows and columns: the two hold together only for such a matrix",
            ),
            (
                "positive semidefinite",
                self.smallest_eigenvalue,
                self.positive_semidefinite,
                "smallest eigenvalue of the symmetric part; with (12) the spectrum of K lies in [0, 1]",
            ),
        )
        return tuple(Assumption(*row) for row in rows)

    def __repr__(self) -> str:
        shown = "finite symmetric nonnegative positive_semidefinite unit_rows doubly_stochastic"
        verdicts = ", ".join(f"{name}={getattr(self, name)}" for name in shown.split())
        return f"AssumptionReport(size={self.size}, {verdicts})"


def check_assumptions(omega: Array, *, weights: Array | None = None) -> AssumptionReport:
    """Measure on an affinity matrix what the theory assumes of it.

        (10)  ||omega||_F < inf    (11)  sum_j omega_ij = 1    (12)  omega = omega^T >= 0
                                                                          Tao et al. 2018, eqs. (10)-(12)

    and what it needs beyond: positive semidefiniteness, and row sums bounded uniformly in the mesh. (11) and
    (12) together say that omega is symmetric and doubly stochastic, which is a loss of generality.

    Parameters
    ----------
    omega : (M, M) array of any library, or SciPy sparse matrix, float64 or float32. NaN and infinity are
        reported, not raised.
    weights : (M,) array, > 0: volumes |cell_i| of the positions; 1/M when omitted. With omega_ij =
        rho(x_i, x_j) the two norms then approximate those of rho.

    Returns  AssumptionReport.
    Raises   DtypeError / ShapeError: omega is not a real floating square matrix, or weights do not fit.
             DomainError: a weight <= 0. ConvergenceError: Lanczos failed on a large sparse matrix.
    Accuracy the eigenvalue to M eps ||omega||, the sums to M eps relative to their absolute terms.
    Cost     O(M^3) dense (eigenvalues), O(nnz) per Lanczos step for sparse omega beyond M = 512.
    """
    matrix = _matrix(omega)
    size = matrix.shape[0]
    tolerance = 4.0 * size * dtype_eps(matrix.dtype)
    volumes = _volumes(weights, size)
    entries = matrix.data if sparse.issparse(matrix) else matrix
    if not np.all(np.isfinite(entries)):
        return AssumptionReport(size=size, tolerance=tolerance, finite=False)
    unit = 2.0 ** (math.frexp(float(abs(matrix).max()))[1] - 1)  # so that sums of entries near 1e308 stay finite
    matrix = matrix.astype(np.float64) / unit
    magnitude = abs(matrix)
    largest = float(magnitude.max())
    relative = magnitude / (largest or 1.0)
    rows, columns = _sums(matrix, 1), _sums(matrix, 0)
    return AssumptionReport(
        size=size,
        tolerance=tolerance,
        finite=True,
        largest_entry=unit * largest,
        symmetry_defect=float(abs(matrix - matrix.T).max()) / (largest or 1.0),
        smallest_entry=unit * float(matrix.min()),
        smallest_eigenvalue=unit * _smallest_eigenvalue(0.5 * (matrix + matrix.T)),
        row_sums=(unit * float(np.min(rows)), unit * float(np.max(rows))),
        column_sums=(unit * float(np.min(columns)), unit * float(np.max(columns))),
        hilbert_schmidt=unit * largest * math.sqrt(float(volumes @ ((relative * relative) @ volumes))),
        sup_row_sum=unit * float(np.max(magnitude @ volumes)),
        sup_column_sum=unit * float(np.max(magnitude.T @ volumes)),
        norm=unit * float(np.max(_sums(magnitude, 1))),
    )


def _matrix(omega: Any) -> Any:
    if not sparse.issparse(omega):
        return to_numpy(check_square(check_array(omega, "omega", ndim=2, finite=False), "omega"))
    check_square(omega, "omega")
    check_array(np.empty(omega.shape[:1], dtype=omega.dtype), "omega", finite=False)
    return sparse.csr_array(omega)


def _smallest_eigenvalue(symmetric: Any) -> float:
    size = symmetric.shape[0]
    if not sparse.issparse(symmetric):
        return float(np.linalg.eigvalsh(symmetric)[0])
    if size <= DENSE_BELOW:
        return float(np.linalg.eigvalsh(symmetric.toarray())[0])
    if symmetric.count_nonzero() == 0:
        return 0.0
    start = np.random.default_rng(size).standard_normal(size)
    try:
        return float(eigsh(symmetric, k=1, which="SA", v0=start, return_eigenvectors=False)[0])
    except ArpackNoConvergence as error:
        raise ConvergenceError(
            "the smallest eigenvalue of omega must be found by Lanczos",
            got=f"no convergence at size {size}",
            why="eigenvalues cluster at the lower end of the spectrum",
            fix="pass omega.toarray() to diagonalise it densely",
        ) from error


def _volumes(weights: Array | None, size: int) -> np.ndarray:
    if weights is None:
        return np.full(size, 1.0 / size)
    volumes = check_array(to_numpy(weights), "weights", ndim=1)
    if volumes.shape != (size,):
        raise ShapeError("weights must hold one cell volume per position", got=f"{volumes.size} for {size} positions")
    if not np.all(volumes > 0):
        raise DomainError("weights must be cell volumes > 0", got=f"smallest {np.min(volumes):g}")
    return volumes.astype(np.float64)


def _sums(matrix: Any, axis: int) -> np.ndarray:
    return np.asarray(matrix.sum(axis=axis)).ravel()


def _distance_from_one(bounds: tuple[float, float]) -> float:
    return float(np.maximum(abs(bounds[0] - 1.0), abs(bounds[1] - 1.0)))
