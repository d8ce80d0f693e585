"""The exact flow of a frozen operator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nlmodel._arrays import Array, eps
from nlmodel.errors import DtypeError
from nlmodel.stepping.krylov import krylov_exponential
from nlmodel.stepping.method import UnconditionalMethod
from nlmodel.stepping.problem import Problem, State
from nlmodel.stepping.uniformization import uniformization


@dataclass(frozen=True)
class Exponential(UnconditionalMethod):
    """exp(tau W (x) L) Z: no error in time for a frozen operator; of order one where L depends on Z.

        p(z) = exp(-z)

    By uniformisation where K >= 0 and W is a number >= 0 (any array library; Z >= 0 stays so exactly), else by
    Arnoldi's method (NumPy only).

    Parameters
    ----------
    tolerance : error a step relative to |Z|, of Arnoldi's method; default 64 eps.

    Cost  tau mu max(r) products with L by uniformisation; see `krylov_exponential`.
    """

    name: ClassVar[str] = "exponential"
    order: ClassVar[int] = 1

    def advance(self, problem: Problem, state: State, step: float) -> Array:
        op, Z = state.op, state.Z
        mu = 1.0 if problem.weight is None else problem.weight
        if op.nonnegative and isinstance(mu, float) and mu >= 0:
            return uniformization(op, Z, step * mu)
        if not isinstance(Z, np.ndarray):
            raise DtypeError(
                'method="exponential" takes other arrays than NumPy only for K >= 0 and a number >= 0 as weight',
                got=type(Z).__name__,
                why="the Krylov space is built and projected on the host",
                fix='convert the problem to NumPy, or use method="rk4"',
            )
        tolerance = 64 * eps(Z) if self.tolerance is None else self.tolerance
        kept = op.mean(Z)[..., None, :] if "weighted_mean" in op.keeps else 0.0  # a constant is steady for every W
        return kept + krylov_exponential(lambda V: step * problem.diffusion(op, V), Z - kept, tolerance)

    def amplification(self, z: np.ndarray) -> np.ndarray:
        return np.exp(-z)
