"""Backward Euler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nlmodel._arrays import Array
from nlmodel.stepping.linear_solver import ImplicitSystem
from nlmodel.stepping.method import UnconditionalMethod
from nlmodel.stepping.problem import Problem, State


@dataclass(frozen=True)
class ImplicitEuler(UnconditionalMethod):
    """X with X - tau L X W^T = Z; any step is stable while Re mu >= 0, and high modes die.

        p(z) = 1 / (1 + z)

    L is frozen during a step.

    Parameters
    ----------
    tolerance : of the linear solver, see `ImplicitSystem.solve`; default 64 eps.

    Cost  one linear system a step.
    """

    name: ClassVar[str] = "implicit_euler"
    order: ClassVar[int] = 1

    def advance(self, problem: Problem, state: State, step: float) -> Array:
        return ImplicitSystem(state.op, problem.weight, step).solve(state.Z, state.Z, self.tolerance)

    def amplification(self, z: np.ndarray) -> np.ndarray:
        return 1 / (1 + z)
