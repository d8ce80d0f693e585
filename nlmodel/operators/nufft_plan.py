"""A nonuniform Fourier transform of fixed points, and its exact adjoint."""

from __future__ import annotations

import importlib
import math
import threading
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np

from nlmodel.errors import MissingPackageError
from nlmodel.operators.threads import cores


TOGETHER_BYTES = 2**30  # what the grids of the fields may take that are transformed at once


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

    Barnett, Magland and af Klinteberg 2019.  The points are sorted at the first transform of one field, and at that of
    as many as go together.

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

    @property
    def together(self) -> int:
        """Fields that are transformed at once: a core each, where their grids fit into `TOGETHER_BYTES`."""
        return max(1, min(cores(), TOGETHER_BYTES // self.grid_bytes))

    @property
    def grid_bytes(self) -> int:
        """Bytes of the modes and of finufft's grid, which is up to twice as fine along each axis, of one field."""
        return grid_bytes(self.modes, self.angles.dtype)

    @cached_property
    def _plans(self) -> dict[int, Any]:
        return {}

    def _plan(self, fields: int) -> Any:
        if fields not in self._plans:
            single = (
                {"upsampfac": 2.0} if self.precision == np.complex64 else {}
            )  # 1.25 would need too wide a spreading
            self._plans[fields] = finufft().Plan(
                1, self.modes, fields, eps=self.eps, isign=-1, dtype=str(self.precision), **single
            )
            self._plans[fields].setpts(*self.angles)
        return self._plans[fields]

    def filtered(self, charges: np.ndarray, multiplier: np.ndarray) -> np.ndarray:
        """F* diag(multiplier) F charges of n fields, (n, M) complex, in the place of `charges`.

        One call at a time: a plan has one workspace.
        """
        with self._lock:
            plan = self._plan(len(charges))
            spectrum = plan.execute(charges if len(charges) > 1 else charges[0])
            spectrum *= multiplier
            plan.execute_adjoint(spectrum, out=charges if len(charges) > 1 else charges[0])
        return charges


def grid_bytes(modes: tuple[int, ...], dtype: Any) -> int:
    """Bytes of the modes of one field and of finufft's grid, for points of that dtype."""
    return math.prod(modes) * (2 ** len(modes) + 2) * 2 * np.dtype(dtype).itemsize
