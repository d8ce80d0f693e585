"""The classical Runge-Kutta method of order four."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nlmodel._arrays import Array
from nlmodel.stepping.method import Method
from nlmodel.stepping.problem import Problem, State


REAL_LIMIT = 2.7852935634052816  # the positive root of z^3 - 4 z^2 + 12 z - 24, where p(z) = 1 again


@dataclass(frozen=True)
class RK4(Method):
    """Kutta's four-stage method; also stable on a part of the imaginary axis, so for rotations W.

        p(z) = 1 - z + z^2/2 - z^3/6 + z^4/24

    Cost  four products with L a step; a kernel that depends on Z is found four times.
    """

    name: ClassVar[str] = "rk4"
    order: ClassVar[int] = 4

    def advance(self, problem: Problem, state: State, step: float) -> Array:
        first = problem.rate(state)
        second = problem.rate(problem.state(state.Z + (step / 2) * first))
        third = problem.rate(problem.state(state.Z + (step / 2) * second))
        fourth = problem.rate(problem.state(state.Z + step * third))
        return state.Z + (step / 6) * (first + 2 * second + 2 * third + fourth)

    def amplification(self, z: np.ndarray) -> np.ndarray:
        return 1 - z * (1 - z / 2 * (1 - z / 3 * (1 - z / 4)))

    @property
    def real_limit(self) -> float:
        return REAL_LIMIT

    @property
    def imaginary_limit(self) -> float:
        return 2 * math.sqrt(2)
