"""What the kernels with a decay length share: on all space or truncated, and what they are in either case."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import numpy as np

from nlmodel._arrays import check_number
from nlmodel.kernels.declared import Declared
from nlmodel.kernels.radial import TRUNCATED, RadialKernel


@dataclass(frozen=True)
class DecayingKernel(RadialKernel):
    """A positive profile with a decay length, on the closed ball of radius delta or on all space.

    Parameters
    ----------
    horizon : delta > 0, or math.inf.
    scale : decay length, > 0.
    dim : d, 1 to 3.
    scaled : False leaves c = 1.
    """

    horizon: float
    scale: float
    dim: int = 1
    _: KW_ONLY
    scaled: bool = True
    unbounded: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self.scale, "scale", above=0)

    @property
    def declared(self) -> Declared:
        """Strictly positive definite exactly when not truncated."""
        if self.horizon < math.inf:
            return TRUNCATED
        return Declared(nonnegative=True, strictly_positive_definite=True)

    @abstractmethod
    def symbol_on_all_space(self, k: np.ndarray) -> np.ndarray:
        """L^(k) for delta = inf, where it is elementary."""

    def evaluate_symbol(self, k: np.ndarray) -> np.ndarray:
        """The closed form on all space, else quadrature."""
        return super().evaluate_symbol(k) if self.horizon < math.inf else self.symbol_on_all_space(k)
