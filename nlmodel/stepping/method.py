"""What a time-stepping method is: one step, its amplification factor, its stability limits."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nlmodel._arrays import Array, check_number
from nlmodel.stepping.problem import Problem, State


@dataclass(frozen=True)
class Method(ABC):
    """A one-step method for Z' = L Z W^T + R(Z).

    On a mode with L -> -s and W -> mu one step of length tau multiplies by p(z), z = tau mu s; the exact factor
    is exp(-z).  The step is stable when |p| <= 1 at every z: `real_limit` and `imaginary_limit` say how far that
    reaches on the positive real and on the imaginary axis.
    """

    name: ClassVar[str]
    order: ClassVar[int]
    explicit: ClassVar[bool] = True
    reaction: ClassVar[str] = "optional"  # or "refused", "required"

    @abstractmethod
    def advance(self, problem: Problem, state: State, step: float) -> Array:
        """Z at the time t + step from the state at t."""

    @abstractmethod
    def amplification(self, z: np.ndarray) -> np.ndarray:
        """p(z), elementwise, for real or complex z."""

    @property
    @abstractmethod
    def real_limit(self) -> float:
        """Largest x with |p| <= 1 on [0, x]."""

    @property
    @abstractmethod
    def imaginary_limit(self) -> float:
        """Largest y with |p(i t)| <= 1 for |t| <= y."""


@dataclass(frozen=True)
class UnconditionalMethod(Method):
    """A method that is stable for every z with Re z >= 0 (A-stable), and solves for the new state to a tolerance."""

    explicit: ClassVar[bool] = False
    reaction: ClassVar[str] = "refused"

    tolerance: float | None = None

    def __post_init__(self) -> None:
        if self.tolerance is not None:
            check_number(self.tolerance, "tolerance", above=0.0, below=1.0)

    @property
    def real_limit(self) -> float:
        return math.inf

    @property
    def imaginary_limit(self) -> float:
        return math.inf
