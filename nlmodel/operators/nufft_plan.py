"""A nonuniform Fourier transform of fixed points, and its exact adjoint."""

from __future__ import annotations

import importlib
import threading
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np

from nlmodel.errors import MissingPackageError


def finufft() -> ModuleType:
    """The package, imported when it is first needed."""
    try:
        return importlib.import_module("finufft")
    except ImportError as error:
        raise MissingPackageError(
            'storage="nufft" needs finufft', got=str(error), fix="pip install nlmodel[nufft]"
        ) from error


@dataclass(frozen=True, eq=False)
class Transform:
    """F_kj = exp(-i k . x_j), |k_d| <= n_d, to the relative accuracy `eps`, and F* with the same error.

    Barnett, Magland and af Klinteberg 2019.  The points are sorted once, at the first transform.

    Attributes
    ----------
    angles : (D, M) array of x, within [-pi, pi).
    modes : 2 n_d + 1 for each of the D axes.
    eps : accuracy asked of finufft.
    """

    angles: np.ndarray
    modes: tuple[int, ...]
    eps: float
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return Transform, (self.angles, self.modes, self.eps)  # a plan lives in one process

    @property
    def precision(self) -> np.dtype:
        """The complex type of charges and modes."""
        return np.result_type(self.angles.dtype, np.complex64)

    @cached_property
    def _plan(self) -> Any:
        single = {"upsampfac": 2.0} if self.precision == np.complex64 else {}  # 1.25 would need too wide a spreading
        plan = finufft().Plan(1, self.modes, eps=self.eps, isign=-1, dtype=str(self.precision), **single)
        plan.setpts(*self.angles)
        return plan

    def filtered(self, charges: np.ndarray, multiplier: np.ndarray) -> np.ndarray:
        """F* diag(multiplier) F charges, (M,) complex, in the place of `charges`.

        One call at a time: a plan has one workspace.
        """
        with self._lock:
            spectrum = self._plan.execute(charges)
            spectrum *= multiplier
            return self._plan.execute_adjoint(spectrum, out=charges)
