"""The trapezoidal rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nlmodel._arrays import Array
from nlmodel.stepping.linear_solver import ImplicitSystem
from nlmodel.stepping.method import UnconditionalMethod
from nlmodel.stepping.problem import Problem, State, mix


@dataclass(frozen=True)
class CrankNicolson(UnconditionalMethod):
    """X with X - (tau/2) L X W^T = Z + (tau/2) L Z W^T; keeps the norm exactly where W is skew.

        p(z) = (1 - z/2) / (1 + z/2)

    Stable for any step while Re mu >= 0, but p -> -1: for z > 2 modes alternate in sign, and those with large
    z hardly decay.  L is frozen during a step.

    Parameters
    ----------
    tolerance : of the linear solver, see `ImplicitSystem.solve`; default 64 eps.

    Cost  one product with L and one linear system a step.
    """

    name: ClassVar[str] = "crank_nicolson"
    order: ClassVar[int] = 2

    def advance(self, problem: Problem, state: State, step: float) -> Array:
        half = state.Z + (step / 2) * mix(state.change, problem.weight)
        return ImplicitSystem(state.op, problem.weight, step / 2).solve(half, state.Z, self.tolerance)

    def amplification(self, z: np.ndarray) -> np.ndarray:
        return (1 - z / 2) / (1 + z / 2)
