"""Super time stepping: forward Euler sub-steps at Chebyshev points, stable together though not one by one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from nlmodel._arrays import Array, check_count, check_number
from nlmodel.stepping.method import Method
from nlmodel.stepping.problem import Problem, State, mix


@dataclass(frozen=True)
class SuperTimeStepping(Method):
    """`stages` forward Euler sub-steps whose lengths add up to the step tau (Alexiades, Amiez, Gremaud 1996).

        p(z) = T_N(y - z/r) / T_N(y),   y = 1 + damping/N^2,   r = T_N'(y) / T_N(y)

    Undamped, r = N^2, p(z) = T_N(1 - z/N^2), and the sub-steps have 1/tau_j = (N^2/tau) (1 - cos((2j-1) pi/(2N))):
    N products with L cover N^2 times the forward Euler limit.  Then |p| = 1 at N - 1 points where nothing
    decays; damping > 0 (2/13 is usual) keeps |p| <= 1/T_N(y) < 1 there, for a slightly smaller limit.

    L is frozen during a step.  The sub-steps run in Leja order, which keeps every partial product below 2 N^2;
    in increasing or decreasing order rounding would grow like 10^(N/2).

    Cost  `stages` products with L a step.
    """

    name: ClassVar[str] = "super_time_stepping"
    order: ClassVar[int] = 1
    reaction: ClassVar[str] = "refused"

    stages: int = 5
    damping: float = 0.0

    def __post_init__(self) -> None:
        check_count(self.stages, "stages", at_least=1)
        check_number(self.damping, "damping", at_least=0.0)

    def advance(self, problem: Problem, state: State, step: float) -> Array:
        first, *others = self.fractions
        Z = state.Z + (step * first) * mix(state.change, problem.weight)
        for fraction in others:
            Z = Z + (step * fraction) * problem.diffusion(state.op, Z)
        return Z

    def amplification(self, z: np.ndarray) -> np.ndarray:
        return np.prod([1 - fraction * z for fraction in self.fractions], axis=0)

    @property
    def real_limit(self) -> float:
        return 2 * self._start * self._slope

    @property
    def imaginary_limit(self) -> float:
        return 0.0

    @cached_property
    def fractions(self) -> tuple[float, ...]:
        """The sub-steps as fractions of the step, in the order in which they are taken; they add up to 1."""
        angles = (2 * np.arange(1, self.stages + 1) - 1) * (math.pi / (2 * self.stages))
        excess = self.damping / self.stages**2
        roots = self._slope * (2 * np.sin(angles / 2) ** 2 + excess)  # of p; 1 - cos without cancellation
        return tuple(float(1 / roots[j]) for j in leja_order(roots))

    @property
    def _start(self) -> float:
        return 1 + self.damping / self.stages**2

    @property
    def _slope(self) -> float:
        """T_N'(y) / T_N(y) = N tanh(N phi) / sinh(phi) with y = cosh(phi)."""
        phi = math.acosh(self._start)
        return self.stages * math.tanh(self.stages * phi) / math.sinh(phi) if phi > 0 else float(self.stages**2)


def leja_order(points: np.ndarray) -> list[int]:
    """Indices: the smallest point first, then always the largest product of distances from those taken."""
    left, order = list(range(len(points))), []
    logarithm = np.zeros(len(points))
    following = int(np.argmin(points))
    while left:
        order.append(following)
        left.remove(following)
        if left:
            logarithm[left] += np.log(np.abs(points[left] - points[following]))
            following = max(left, key=lambda j: logarithm[j])
    return order
