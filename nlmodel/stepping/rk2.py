"""Heun's method of order two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nlmodel._arrays import Array
from nlmodel.stepping.method import Method
from nlmodel.stepping.problem import Problem, State


@dataclass(frozen=True)
class RK2(Method):
    """Heun's method: the mean of the rates at both ends of a forward Euler step.

        p(z) = 1 - z + z^2/2 = (1 + (1 - z)^2) / 2

    Cost  two products with L a step; a kernel that depends on Z is found twice.
    """

    name: ClassVar[str] = "rk2"
    order: ClassVar[int] = 2

    def advance(self, problem: Problem, state: State, step: float) -> Array:
        first = problem.rate(state)
        second = problem.rate(problem.state(state.Z + step * first))
        return state.Z + (step / 2) * (first + second)

    def amplification(self, z: np.ndarray) -> np.ndarray:
        return 1 - z + z**2 / 2

    @property
    def real_limit(self) -> float:
        return 2.0

    @property
    def imaginary_limit(self) -> float:
        return 0.0
