"""spec(-L) of a nonlocal operator: by a dense eigensolve, by Lanczos, or by Gershgorin's discs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nlmodel._arrays import check_choice, to_numpy
from nlmodel.errors import DomainError, DtypeError, NotReversibleError, ShapeError
from nlmodel.operators import NonlocalOperator, SparseAffinity
from nlmodel.stability.lanczos import spectrum_ends
from nlmodel.stability.region import Disc, Interval, Points, Region


METHODS = ("auto", "exact", "lanczos", "gershgorin")
EXACT_UP_TO = 2000  # positions: a dense eigensolve takes seconds and 32 MB
RESIDUAL = 1e-6  # of Lanczos, relative: the limit comes out at most five times as much too low


@dataclass(frozen=True, eq=False)
class NonlocalSpectrum:
    """A region that holds spec(-L), whether its deciding points are attained, and how it was found."""

    region: Region
    sharp: bool
    method: str

    @property
    def ends(self) -> tuple[float, float]:
        """s_max and s_min of a real spectrum."""
        if not isinstance(self.region, Interval):
            raise NotReversibleError("this needs a real spectrum", got="an operator without a known measure")
        return self.region.high, self.region.low


def nonlocal_spectrum(op: NonlocalOperator, method: str = "auto") -> NonlocalSpectrum:
    """The part of spec(-L) that limits a step.

    "exact": all eigenvalues, of the symmetrised operator when it is reversible.  "lanczos": the largest one
    (and, when K has negative entries, the smallest), moved outwards by 4e-6; reversible only.  Where it drowns in the
    rounding of products with diag(r) - K >= 0, Gershgorin instead.
    "gershgorin": from K_ii alone; nonnegative K only; contains the spectrum but need not touch it.  "auto": exact
    up to 2000 positions, beyond that Lanczos when reversible, else Gershgorin.

    Eigenvalues within 8 M eps max|s| of zero count as zero; within 8 M eps max(r_i) where r_i - K_ii can only be found
    by a subtraction.  So do negative ones when K >= 0, because then
    <Z, -L Z>_m = (1/2) sum_ij m_i K_ij |Z_i - Z_j|^2 >= 0 (the symmetric normalisation shares the spectrum
    of the row normalisation).
    """
    check_operator(op)
    check_choice(method, "method", METHODS)
    if method == "auto":
        large = op.size > EXACT_UP_TO
        method = "exact" if not large else "lanczos" if op.reversible else "gershgorin"
    if method == "gershgorin":
        return NonlocalSpectrum(_gershgorin(op), False, method)
    if method == "lanczos":
        _check_reversible(op)
        return _lanczos(op)
    return NonlocalSpectrum(exact_region(op, eigenvalues_of_generator(op)), True, "exact")


def check_operator(op: NonlocalOperator) -> None:
    """Raise unless `op` is one nonlocal operator, not a matrix and not a batch."""
    if not isinstance(op, NonlocalOperator):
        raise DtypeError(
            "op must be a NonlocalOperator",
            got=type(op).__name__,
            why="its normalisation, measure and signs decide which limits hold",
            fix='wrap the affinity, or a row-stochastic K, by NonlocalOperator.from_affinity(K, "row")',
        )
    if len(op.shape) != 2:
        raise ShapeError(
            "stability is decided for one operator at a time",
            got=f"a batch of shape {op.shape[:-2]}",
            fix="build one operator for each affinity, and take the smallest limit",
        )


def eigenvalues_of_generator(op: NonlocalOperator) -> np.ndarray:
    """All eigenvalues s of -L in float64, ascending and real when the operator is reversible, else complex.

    Those within rounding of zero are returned as 0.
    """
    if op.reversible:
        s = np.linalg.eigvalsh(symmetric_generator(op))
        s = np.where(np.abs(s) <= _zero(op, s), 0.0, s)
        return np.maximum(s, 0.0) if op.nonnegative else s
    A = -to_numpy(op.averaging.to_dense()).astype(np.float64)
    np.fill_diagonal(A, outflow(op))
    s = np.linalg.eigvals(A).astype(complex)
    return np.where(np.abs(s) <= _zero(op, s), 0.0, s)


def symmetric_generator(op: NonlocalOperator) -> np.ndarray:
    """-M^{1/2} L M^{-1/2} = diag(r) - M^{1/2} K M^{-1/2} as a symmetric float64 matrix."""
    S = to_numpy(op.symmetrized().to_dense()).astype(np.float64)
    A = -(S + S.T) / 2
    np.fill_diagonal(A, outflow(op))
    return A


def outflow(op: NonlocalOperator) -> np.ndarray:
    """d_i = r_i - K_ii = -L_ii, (M,) in float64.

    Where a row of K is nearly all K_ii the difference cancels.  If K is stored and L 1 = 0, the sum of the other
    entries of the row is taken instead; else what is within rounding of zero is 0.
    """
    r = to_numpy(op.exit_rate).astype(np.float64)
    d = r - to_numpy(op.diagonal()).astype(np.float64)
    if not _row_sums_known(op):
        return np.where(np.abs(d) <= 8 * op.eps * np.abs(r), 0.0, d)
    cancelled = np.flatnonzero(np.abs(d) <= np.abs(r) / 1024)
    if not cancelled.size:
        return d
    K = op.averaging
    if isinstance(K, SparseAffinity):
        csr = K.to_csr()[cancelled]
        others = csr.indices != np.repeat(cancelled, np.diff(csr.indptr))
        rows = np.repeat(np.arange(len(cancelled)), np.diff(csr.indptr))
        d[cancelled] = np.bincount(rows[others], csr.data[others].astype(np.float64), minlength=len(cancelled))
    else:
        rows = to_numpy(K.to_dense())[cancelled].astype(np.float64)
        rows[np.arange(len(cancelled)), cancelled] = 0.0
        d[cancelled] = np.sum(rows, axis=1)
    return d


def _row_sums_known(op: NonlocalOperator) -> bool:
    """Whether r_i = sum_j K_ij with entries that are at hand."""
    return "constants" in op.keeps and op.storage in ("dense", "sparse")


def _zero(op: NonlocalOperator, s: np.ndarray) -> float:
    """What rounding can make of an eigenvalue 0 of diag(r) - K: relative to r where K cancels it."""
    largest = float(np.max(np.abs(s)))
    rates = 0.0 if _row_sums_known(op) else float(np.max(np.abs(to_numpy(op.exit_rate))))
    return 8 * op.size * op.eps * max(largest, rates)


def exact_region(op: NonlocalOperator, s: np.ndarray) -> Region:
    """The region of all eigenvalues s of -L, from `eigenvalues_of_generator`."""
    if op.reversible:
        return Interval(min(float(s[0]), 0.0), max(float(s[-1]), 0.0))
    disc = Disc(float(np.max(outflow(op)))) if op.nonnegative else None
    return Points(s[s != 0], _zero(op, s), disc)


def _gershgorin(op: NonlocalOperator) -> Region:
    if not op.nonnegative:
        raise DomainError(
            "Gershgorin's discs are read off K_ii, which needs K >= 0",
            got="an averaging matrix with negative entries",
            why="the radius sum_j |K_ij| is then more than r_i - K_ii",
            fix='pass method="exact"' + (' or method="lanczos"' if op.reversible else ""),
        )
    d = float(np.max(outflow(op)))
    return Interval(0.0, 2 * d) if op.reversible else Disc(d)


def _lanczos(op: NonlocalOperator) -> NonlocalSpectrum:
    noise = 8 * op.size * op.eps * float(np.max(np.abs(to_numpy(op.exit_rate))))  # of r_i x_i - (K x)_i
    tolerance = max(64 * op.eps, RESIDUAL)
    low, high = spectrum_ends(_product(op), op.size, tolerance=tolerance, both=not op.nonnegative, noise=noise)
    zero = max(noise, 8 * op.size * op.eps * max(abs(low), abs(high)))
    if high <= 8 * zero and op.nonnegative:
        return NonlocalSpectrum(_gershgorin(op), False, "gershgorin")
    return NonlocalSpectrum(Interval(low if low < -zero else 0.0, high if high > zero else 0.0), True, "lanczos")


def _product(op: NonlocalOperator) -> Callable[[np.ndarray], np.ndarray]:
    """x -> -M^{1/2} L M^{-1/2} x on NumPy vectors."""
    if not isinstance(op.exit_rate, np.ndarray):
        A = symmetric_generator(op)
        return lambda x: A @ x
    S, r = op.symmetrized().to_scipy(), to_numpy(op.exit_rate)
    return lambda x: (r * x - S.matvec(x.astype(r.dtype))).astype(np.float64)


def _check_reversible(op: NonlocalOperator) -> None:
    if not op.reversible:
        raise NotReversibleError(
            "Lanczos needs an operator that is self-adjoint in a known measure",
            got="an affinity that is not symmetric",
            fix='pass method="exact", or method="gershgorin" for a cheap safe bound',
        )
