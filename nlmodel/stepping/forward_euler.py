"""Forward Euler: the network's own step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nlmodel._arrays import Array
from nlmodel.stepping.method import Method
from nlmodel.stepping.problem import Problem, State


@dataclass(frozen=True)
class ForwardEuler(Method):
    """Z + tau (L Z W^T + R(Z)); with step 1 one sub-block of a nonlocal stage.

        p(z) = 1 - z          Tao et al. 2018, eqs (8), (15)

    Cost  one product with L a step.
    """

    name: ClassVar[str] = "forward_euler"
    order: ClassVar[int] = 1

    def advance(self, problem: Problem, state: State, step: float) -> Array:
        return state.Z + step * problem.rate(state)

    def amplification(self, z: np.ndarray) -> np.ndarray:
        return 1 - z

    @property
    def real_limit(self) -> float:
        return 2.0

    @property
    def imaginary_limit(self) -> float:
        return 0.0
