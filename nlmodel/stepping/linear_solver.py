"""(I - c W (x) L) X = B: conjugate gradients in the operator's own inner product, else GMRES."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nlmodel._arrays import Array, eps, namespace, to_numpy
from nlmodel.errors import ConvergenceError, DtypeError
from nlmodel.operators import NonlocalOperator
from nlmodel.operators.linear_map import match
from nlmodel.stepping.problem import Weight, mix


ITERATIONS = 5000
RESTART = 60  # vectors that GMRES keeps
ROUNDS = 4  # a recurrence drifts from the true residual; each round starts from the true one


@dataclass(frozen=True)
class ImplicitSystem:
    """B X = Y with B X = X - c L X W^T.

    Where K >= 0 is self-adjoint in a measure and W is symmetric positive semidefinite, B is self-adjoint in
    that measure with eigenvalues 1 + c mu s >= 1, and conjugate gradients apply in its inner product, which is
    the same as for M^{1/2} B M^{-1/2} in the plain one.  Otherwise GMRES (NumPy only).
    """

    op: NonlocalOperator
    weight: Weight
    c: float

    def apply(self, X: Array) -> Array:
        return X - self.c * mix(self.op.apply(X), self.weight)

    @cached_property
    def positive(self) -> bool:
        """Whether conjugate gradients apply."""
        return self.op.reversible and self.op.nonnegative and is_positive_semidefinite(self.weight)

    @cached_property
    def _weight_norm(self) -> float:
        return spectral_norm(self.weight)

    def solve(self, Y: Array, guess: Array, tolerance: float | None = None) -> Array:
        """X with |Y - B X| <= tolerance (|Y| + |X| + c |W| (|L X| + 2 |r X|)): a small backward error.

        Raises    ConvergenceError: the true residual stays above that.
        Accuracy  default tolerance 64 eps.  Where L conserves the mean in its measure so does X, to rounding.
        """
        tolerance = 64 * eps(Y) if tolerance is None else tolerance
        if "weighted_mean" not in self.op.keeps:
            return self._solve(Y, guess, tolerance, _norm(Y))
        mean = self.op.mean(Y)[..., None, :]  # B is the identity on constants: only deviations are left to solve for
        X = self._solve(Y - mean, guess - self.op.mean(guess)[..., None, :], tolerance, _norm(Y))
        return mean + (X - self.op.mean(X)[..., None, :])

    def _solve(self, Y: Array, X: Array, tolerance: float, size: float) -> Array:
        """Improve X until its true residual is small; `size` is |Y| with its mean."""
        correct = self._conjugate_gradients if self.positive else self._gmres
        residual, target = self._residual(Y, X, tolerance, size)
        for _ in range(ROUNDS):
            if _norm(residual) <= target:
                return X
            X = X + correct(residual, target / 2)
            residual, target = self._residual(Y, X, tolerance, size)
        if _norm(residual) <= target:
            return X
        raise ConvergenceError(
            f"the implicit step did not converge by {'conjugate gradients' if self.positive else 'GMRES'}",
            got=f"residual {_norm(residual):.3g}, wanted {target:.3g}",
            why="a solution that does not satisfy its equation is no solution",
            fix="take a smaller step, or a larger tolerance",
        )

    def _residual(self, Y: Array, X: Array, tolerance: float, size: float) -> tuple[Array, float]:
        """Y - B X, and how small it must be."""
        change = self.op.apply(X)
        residual = Y - (X - self.c * mix(change, self.weight))
        products = _norm(change) + 2 * _norm(match(self.op.exit_rate, X)[..., None] * X)
        return residual, tolerance * (size + _norm(X) + abs(self.c) * self._weight_norm * products)

    def _conjugate_gradients(self, Y: Array, target: float) -> Array:
        """B X = Y from X = 0 in <., .>_m, preconditioned by the diagonal of B; one run for each system of a batch."""
        xp, m, scale = namespace(Y), match(self.op.measure, Y)[..., None], 1 / self._diagonal(Y)

        def inner(U: Array, V: Array) -> Array:
            return xp.sum(m * U * V, axis=(-2, -1), keepdims=True)

        X, residual = xp.zeros_like(Y), Y
        direction = scale * residual
        product = inner(residual, direction)
        for _ in range(ITERATIONS):
            image = self.apply(direction)
            along = _ratio(product, inner(direction, image))
            X, residual = X + along * direction, residual - along * image
            if _norm(residual) <= target:
                break
            shifted = scale * residual
            previous, product = product, inner(residual, shifted)
            direction = shifted + _ratio(product, previous) * direction
        return X

    def _diagonal(self, Z: Array) -> Array:
        """1 + c W_kk (r_i - K_ii), (..., M, C)."""
        xp = namespace(Z)
        loss = match(self.op.exit_rate, Z) - match(self.op.diagonal(), Z)
        if self.weight is None or isinstance(self.weight, float):
            mu = xp.ones_like(Z[..., 0, :]) * (1.0 if self.weight is None else self.weight)
        else:
            mu = xp.linalg.diagonal(self.weight)
        return 1 + self.c * loss[..., None] * mu[..., None, :]

    def _gmres(self, Y: Array, target: float) -> Array:
        """B X = Y from X = 0 by GMRES, preconditioned by (I + c q W)^{-1} with q the mean rate of leaving."""
        from scipy.sparse.linalg import LinearOperator, gmres

        if not isinstance(Y, np.ndarray):
            raise DtypeError(
                "an implicit step takes other arrays than NumPy only for a symmetric kernel with K >= 0 and a"
                " symmetric positive semidefinite weight",
                got=type(Y).__name__,
                why="GMRES is SciPy's",
                fix='convert the problem to NumPy, or use an explicit method such as "rk4"',
            )
        n, shape = Y.size, Y.shape
        inverse = self._approximate_inverse(shape[-1]).astype(Y.dtype)

        def matvec(x: np.ndarray) -> np.ndarray:
            return self.apply(x.reshape(shape)).reshape(-1)

        def precondition(x: np.ndarray) -> np.ndarray:
            return (x.reshape(shape) @ inverse.T).reshape(-1)

        B = LinearOperator((n, n), matvec=matvec, dtype=Y.dtype)  # pyright: ignore[reportCallIssue]
        P = LinearOperator((n, n), matvec=precondition, dtype=Y.dtype)  # pyright: ignore[reportCallIssue]
        X, _ = gmres(B, Y.reshape(-1), rtol=0.0, atol=target, restart=RESTART, maxiter=ITERATIONS // RESTART, M=P)
        return X.reshape(shape).astype(Y.dtype)

    def _approximate_inverse(self, channels: int) -> np.ndarray:
        """(I + c q W)^{-1}, the exact inverse for L = -q I; I where that could be singular."""
        identity = np.eye(channels)
        number = self.weight is None or isinstance(self.weight, float)
        W = spectral_norm(self.weight) * identity if number else np.asarray(self.weight)
        if (number and (self.weight or 0.0) < 0) or float(np.linalg.eigvalsh(W + W.T)[0]) < 0:
            return identity
        q = float(np.mean(self.op.exit_rate - self.op.diagonal()))
        return np.linalg.inv(identity + self.c * q * W)


def is_positive_semidefinite(weight: Weight) -> bool:
    """Whether W is a number >= 0 or a symmetric matrix without negative eigenvalues."""
    if weight is None or isinstance(weight, float):
        return weight is None or weight >= 0
    W = to_numpy(weight)
    return bool(np.array_equal(W, W.T)) and float(np.linalg.eigvalsh(W)[0]) >= -eps(W) * len(W) * np.abs(W).max()


def spectral_norm(weight: Weight) -> float:
    """|W|_2."""
    if weight is None or isinstance(weight, float):
        return 1.0 if weight is None else abs(weight)
    return float(np.linalg.norm(to_numpy(weight), 2))


def _norm(X: Array) -> float:
    """Root of the sum of squares of all entries, in float64, as a number."""
    return float(np.linalg.norm(to_numpy(X).astype(np.float64)))


def _ratio(a: Array, b: Array) -> Array:
    """a / b, and 0 where both are 0: a system of the batch that is solved already."""
    xp = namespace(a)
    return a / xp.where(b == 0, xp.ones_like(b), b)
