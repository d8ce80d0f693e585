"""Functions of arrays as contestants: their sizes, their data, and how far they are from the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks.case import Built, Call, Setting


def sized(setting: Setting, full: int, small: int) -> int:
    """`full`, or `small` where a setting asks for little: tiny sizes, few images."""
    return small if setting.quick or setting.images is not None else full


def uniform(setting: Setting, *shape: int, seed: int = 1) -> np.ndarray:
    """Numbers between 0 and 1, the same ones in either precision."""
    return np.random.default_rng(seed).random(shape).astype(setting.precision)


def normal(setting: Setting, *shape: int, seed: int = 2) -> np.ndarray:
    """Normal numbers, the same ones in either precision."""
    return np.random.default_rng(seed).standard_normal(shape).astype(setting.precision)


def error_on_rows(rows: np.ndarray, true: np.ndarray, scale: Any = None) -> Callable[[np.ndarray], float]:
    """Of a result, the largest difference to the true rows over a scale: by default the largest true magnitude."""
    scale = np.max(np.abs(true)) if scale is None else scale
    return lambda result: float(np.max(np.abs(result[rows].astype(float) - true) / scale))


def built(
    calls: Mapping[str, Call],
    compared: Callable[[], Mapping[str, Any]] | None = None,
    error: Callable[[Any], float] | None = None,
) -> Built:
    """Calls that return what they compute.

    Parameters
    ----------
    calls : by measure; the first returns the output that must agree.
    compared : what must agree instead, by name, where that is not an array.
    error : of the output.
    """
    first, call = next(iter(calls.items()))
    errors = {} if error is None else {first: lambda: error(call())}
    return Built(calls, compared or (lambda: {"output": call()}), errors)
