"""Reaction explicit, nonlocal diffusion implicit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nlmodel._arrays import Array
from nlmodel.stepping.linear_solver import ImplicitSystem
from nlmodel.stepping.method import UnconditionalMethod
from nlmodel.stepping.problem import Problem, State


@dataclass(frozen=True)
class IMEX(UnconditionalMethod):
    """X with X - tau L X W^T = Z + tau R(Z): the step is limited by the reaction alone.

        p(z) = 1 / (1 + z) where R = 0          Tao et al. 2018, eqs (29)-(30), split

    L is frozen during a step.

    Parameters
    ----------
    tolerance : of the linear solver, see `ImplicitSystem.solve`; default 64 eps.

    Cost  one evaluation of R and one linear system a step.
    """

    name: ClassVar[str] = "imex"
    order: ClassVar[int] = 1
    reaction: ClassVar[str] = "required"

    def advance(self, problem: Problem, state: State, step: float) -> Array:
        Z = state.Z
        forced = Z if problem.reaction is None else Z + step * problem.reaction(Z)
        return ImplicitSystem(state.op, problem.weight, step).solve(forced, Z, self.tolerance)

    def amplification(self, z: np.ndarray) -> np.ndarray:
        return 1 / (1 + z)
