"""The nonlocal operator L = K - diag(exit rate), one value whatever the representation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import issparse

from nlmodel._arrays import Array, check_array, check_choice, namespace
from nlmodel.errors import ChoiceError, DomainError, NotReversibleError, ShapeError
from nlmodel.kernels import Kernel, RadialKernel, as_kernel
from nlmodel.normalization import HOW, Potentials, potentials
from nlmodel.operators.affinity import Affinity
from nlmodel.operators.algebra import Diagonal, Product
from nlmodel.operators.dense import DenseAffinity
from nlmodel.operators.described import Described
from nlmodel.operators.grid import GridAffinity, checked_grid
from nlmodel.operators.linear_map import LinearMap, broadcastable, match
from nlmodel.operators.of_points import ASKED, check_storage, represented
from nlmodel.operators.plan import OperatorPlan, plan_of, plan_points
from nlmodel.operators.sparse import SparseAffinity


@dataclass(frozen=True, eq=False, repr=False)
class NonlocalOperator(Described, LinearMap):
    """L = K - diag(exit rate): the generator of nonlocal diffusion on M positions.

        (L Z)_i = sum_j K_ij Z_j - r_i Z_i          Tao et al. 2018, eqs (8), (14), (24)

    With a row-stochastic K (normalisations "row", "sinkhorn", "alpha") r_i = 1; unnormalised, r_i = sum_j K_ij.
    Either way L 1 = 0: constants are steady.

    Make one with `from_affinity`, `from_points` or `on_grid`.

    Attributes
    ----------
    averaging : K as a `LinearMap`.
    potentials : the normalisation, with `degree`, `exit_rate`, `measure`, `keeps`.
    storage_reason : why it has this representation.
    """

    averaging: Affinity
    potentials: Potentials
    storage_reason: str = ASKED

    @classmethod
    def from_affinity(
        cls,
        omega: Any,
        normalize: str = "row",
        *,
        log: bool = False,
        weights: float | Array | None = None,
        alpha: float = 1.0,
    ) -> NonlocalOperator:
        """From an affinity matrix: a dense (..., M, M) array of any library, a SciPy sparse matrix, or an `Affinity`.

        Parameters
        ----------
        omega : the affinity, or its logarithm when `log` is true (dense only).
        normalize : "none", "row", "symmetric", "sinkhorn" or "alpha".
        weights : quadrature weights, a positive number or an (M,) array; default 1.
        alpha : exponent of "alpha".
        """
        check_choice(normalize, "normalize", HOW)
        if issparse(omega) and log:
            raise DomainError(
                "the logarithm of an affinity must be dense",
                got="a sparse matrix with log=True",
                why="an entry that is not stored would stand for the affinity exp(0) = 1",
                fix="pass the affinity itself: exp of the stored entries",
            )
        if isinstance(omega, Affinity):
            affinity = omega
        else:
            affinity = (
                SparseAffinity.from_matrix(omega) if issparse(omega) else DenseAffinity.from_array(omega, log=log)
            )
        return cls._normalized(affinity, normalize, weights, alpha)

    @classmethod
    def from_points(
        cls,
        X: Array,
        kernel: Kernel | Callable[[Array, Array], Array],
        normalize: str = "row",
        *,
        storage: str = "auto",
        tol: float | None = None,
        weights: float | Array | None = None,
        alpha: float = 1.0,
    ) -> NonlocalOperator:
        """From points or features X of shape (..., M, D) and a kernel, omega_ij = kernel(X_i, X_j).

        Parameters
        ----------
        storage : "dense", "sparse" (NumPy points and a kernel with a finite horizon), "streamed" (never stored, tiles
            of it are evaluated at each product); approximately "nufft" (see `NufftAffinity`) or "lowrank"
            (`LowRankAffinity`); or "auto": sparse where that is possible and M >= 1000, dense up to 512 MiB, else
            streamed, all exact.  What was chosen and why is `op.storage`, `op.storage_reason`.
        tol : error of an approximation over omega_ii, default 1e-6.  With "auto" it allows one: nufft, else lowrank,
            where they apply, M >= 1000 and nothing is sparse.
        weights : cell volumes for a quadrature of the integral operator; default 1.
        """
        check_choice(normalize, "normalize", HOW)
        check_storage(storage, tol)
        kernel = as_kernel(kernel)
        check_array(X, "X", min_ndim=2)
        op, reason = represented(
            X, kernel, storage, tol, lambda found: cls._normalized(found, normalize, weights, alpha)
        )
        return replace(op, storage_reason=reason)

    @classmethod
    def on_grid(
        cls,
        shape: int | tuple[int, ...],
        kernel: RadialKernel,
        spacing: float | tuple[float, ...],
        *,
        boundary: str = "periodic",
        normalize: str = "none",
        weights: float | Array | None = None,
        alpha: float = 1.0,
        dtype: Any = np.float64,
    ) -> NonlocalOperator:
        """On a uniform grid, by FFT or a short stencil; fields have M = prod(shape) rows in C order.

        Parameters
        ----------
        kernel : spatial kernel of dimension len(shape).
        spacing : cell size, one number or one an axis; the cell volume is the default quadrature weight, so that
            with normalize="none" L approximates int rho(x, y) (z(y) - z(x)) dy.
        boundary : "periodic" or "free" (pairs inside the domain only: nonlocal Neumann).
        """
        check_choice(normalize, "normalize", HOW)
        grid, steps = checked_grid(shape, spacing)
        return cls._normalized(GridAffinity.build(grid, kernel, steps, boundary, dtype), normalize, weights, alpha)

    @classmethod
    def _normalized(cls, affinity: Affinity, how: str, weights: float | Array | None, alpha: float) -> NonlocalOperator:
        found = potentials(
            affinity,
            how,
            affinity.log_weights(weights),
            symmetric=bool(affinity.symmetric),
            nonnegative=affinity.nonnegative,
            alpha=alpha,
        )
        return cls(*affinity.normalized(found))

    # ------------------------------------------------------------------ what it is

    @property
    def shape(self) -> tuple[int, ...]:
        return self.averaging.shape

    @property
    def storage(self) -> str:
        """The representation: "dense", "sparse", "streamed", "grid", "nufft" or "lowrank"."""
        return self.averaging.storage

    def plan(self, columns: int = 1) -> OperatorPlan:
        """Bytes and operations of this operator and its products, see `OperatorPlan`."""
        return plan_of(self, columns)

    plan_points = staticmethod(plan_points)

    def __repr__(self) -> str:
        return (
            f"NonlocalOperator(shape={self.shape}, storage={self.storage!r}, normalize={self.normalize!r}, "
            f"dtype={self.dtype}, reversible={self.reversible})"
        )

    # ------------------------------------------------------------------ what it does

    def apply(self, Z: Array) -> Array:
        return self.averaging.apply_less(Z, self.exit_rate)

    def apply_transposed(self, Z: Array) -> Array:
        return self.averaging.apply_transposed_less(Z, self.exit_rate)

    def average(self, Z: Array) -> Array:
        """K Z."""
        return self.checked(self.averaging.apply, Z, self.size)

    def average_both(self, Z: Array, Y: Array) -> tuple[Array, Array]:
        """K Z and K^T Y; of a streamed operator every entry is evaluated once for both."""
        Z_found, Y_found = self.averaging.apply_both(self.field(Z, self.size), self.field(Y, self.size, "Y"))
        return Z_found[..., 0] if Z.ndim == 1 else Z_found, Y_found[..., 0] if Y.ndim == 1 else Y_found

    def diagonal(self) -> Array:
        """K_ii, (..., M)."""
        return self.averaging.diagonal()

    def identity(self, size: int) -> Array:
        return self.averaging.identity(size)

    def to_dense(self) -> Array:
        """L as an array, (..., M, M)."""
        return self.averaging.to_dense() - self.exit_rate[..., None] * self.identity(self.size)

    def adjoint(self, measure: Array | None = None) -> LinearMap:
        """L* = diag(1/m) L^T diag(m), the adjoint in <Y, Z>_m = sum_i m_i Y_i . Z_i.

        In the operator's own measure, the default, L* is L itself; pass the stationary law of a chain that is not
        reversible to get the generator of its time reversal.
        """
        if measure is None:
            self._measure("adjoint")
            return self
        check_array(measure, "measure", min_ndim=1)
        if measure.shape[-1] != self.size:
            raise ShapeError("measure must have one entry a position", got=f"{measure.shape[-1]} for {self.size}")
        if not bool(namespace(measure).all(measure > 0)):
            raise DomainError("measure must be positive", got="an entry <= 0", why="the adjoint divides by it")
        return Product(Diagonal(1 / measure), Product(self.T, Diagonal(measure)))

    def inner(self, Y: Array, Z: Array) -> Array:
        """<Y, Z>_m = sum_i m_i Y_i . Z_i, summed over positions and channels."""
        Y, Z = self.field(Y, self.size, "Y"), self.field(Z, self.size)
        if Y.shape[-1] != Z.shape[-1] or not broadcastable(Y.shape, Z.shape):
            raise ShapeError("Y and Z must have the same channels", got=f"shapes {tuple(Y.shape)} and {tuple(Z.shape)}")
        return self._inner(Y, Z)

    def _inner(self, Y: Array, Z: Array) -> Array:
        xp = namespace(Y, Z)
        return xp.sum(match(self._measure("inner"), Z)[..., None] * Y * Z, axis=(-2, -1))

    def mean(self, Z: Array) -> Array:
        """The mean in the measure, sum_i m_i Z_i / sum_i m_i, (..., C); conserved where `keeps` has "weighted_mean"."""
        return self.checked(self._mean, Z, self.size)

    def _mean(self, Z: Array) -> Array:
        xp = namespace(Z)
        m = match(self._measure("mean"), Z)[..., None]
        return xp.sum(m * Z, axis=-2) / xp.sum(m, axis=-2)

    def energy(self, Z: Array) -> Array:
        """-<Z, L Z>_m; where constants are steady this is (1/2) sum_ij m_i K_ij |Z_i - Z_j|^2, >= 0 when K >= 0."""
        return -self._inner(field := self.field(Z, self.size), self.apply(field))

    def symmetrized(self) -> LinearMap:
        """M^{1/2} K M^{-1/2} with M = diag(m): symmetric, with the eigenvalues of K."""
        self._measure("symmetrized")
        return self.averaging.symmetrized(self.potentials.right - self.potentials.left)  # log m, where m underflows too

    def to_csr(self) -> Any:
        """L as a SciPy CSR array, for sparse storage."""
        from scipy.sparse import diags_array

        if not isinstance(self.averaging, SparseAffinity):
            raise ChoiceError("to_csr needs sparse storage", got=f"storage {self.storage!r}", fix="use to_dense()")
        return (self.averaging.matrix - diags_array(np.asarray(self.exit_rate))).tocsr()

    def _measure(self, wanted: str) -> Array:
        if self.measure is None:
            raise NotReversibleError(
                f"{wanted} needs a measure in which the operator is self-adjoint",
                got="an affinity that is not symmetric",
                why="energy, weighted mean and real spectrum hold in that measure",
                fix="use a symmetric kernel (theta = phi), average omega with its transpose, or pass a measure",
            )
        return self.measure
