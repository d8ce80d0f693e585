"""A measured number, the range it should lie in, and whether it does."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nlmodel._arrays import to_numpy
from nlmodel.errors import DomainError, ShapeError


Measure = Callable[[Any], float]
"""Maps an object to the number that a check compares with its range."""


@dataclass(frozen=True)
class Outcome:
    """What one check measured.

    `passed` says whether low <= measured <= high, and is False for NaN; `failed` says that the number is a number
    and lies outside. A check that measured NaN has neither passed nor failed.
    """

    measured: float
    low: float = -math.inf
    high: float = math.inf
    kind: str = "bound"
    detail: str = ""

    def __post_init__(self) -> None:
        if math.isnan(self.low) or math.isnan(self.high) or self.low > self.high:
            raise DomainError("a range needs low <= high", got=f"low={self.low}, high={self.high}")
        if math.isinf(self.low) and math.isinf(self.high):
            raise DomainError(
                "a check needs a bound",
                got=f"low={self.low}, high={self.high}",
                why="a check that cannot fail says nothing",
                fix="give at_most=, at_least= or both, finite",
            )

    @property
    def passed(self) -> bool:
        return self.low <= self.measured <= self.high

    @property
    def failed(self) -> bool:
        return not self.passed and not math.isnan(self.measured)

    @property
    def range(self) -> str:
        """The range in words: "<= 1e-12", ">= 0.3", "in [1.9, 2.1]"."""
        if math.isinf(self.low):
            return f"≤ {show(self.high)}"
        if math.isinf(self.high):
            return f"≥ {show(self.low)}"
        return f"= {show(self.low)}" if self.low == self.high else f"∈ [{show(self.low)}, {show(self.high)}]"


def show(value: float, digits: int = 4) -> str:
    """A number for people: four significant digits, no exponent between 1e-3 and 1e5, ± infinity as a sign."""
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e5:
        text = f"{value:.{digits}g}"
        return (f"{value:.0f}" if "e" in text else text).replace("-", "−")
    mantissa, exponent = f"{value:.{digits - 2}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    superscript = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    factor = {"1": "", "-1": "−"}.get(mantissa, f"{mantissa.replace('-', '−')}·")
    return f"{factor}10{superscript}"


def number(value: Any) -> float:
    """`value` as a real float: a scalar, or an array with one entry."""
    array = to_numpy(value)
    if array.size != 1 or np.iscomplexobj(array):
        raise ShapeError("a measured value must be one real number", got=f"shape {array.shape}, dtype {array.dtype}")
    return float(array.reshape(()))


def at_most(value: Any, bound: float) -> Outcome:
    """value <= bound."""
    return Outcome(number(value), high=number(bound))


def at_least(value: Any, bound: float) -> Outcome:
    """value >= bound."""
    return Outcome(number(value), low=number(bound))


def within(value: Any, low: float, high: float) -> Outcome:
    """low <= value <= high."""
    return Outcome(number(value), low=number(low), high=number(high))


def close(actual: Any, oracle: Any, tol: float) -> Outcome:
    """max |actual - oracle| <= tol, for arrays of one shape; nothing is broadcast."""
    left, right = to_numpy(actual), to_numpy(oracle)
    if left.shape != right.shape or left.size == 0:
        raise ShapeError(
            "actual and oracle must have one non-empty shape", got=f"shapes {left.shape} and {right.shape}"
        )
    return Outcome(float(np.max(np.abs(left - right))), high=number(tol), kind="oracle")


def ranged(value: Any, lowest: float | None, highest: float | None) -> Outcome:
    """lowest <= value <= highest, each side optional but not both."""
    low = -math.inf if lowest is None else number(lowest)
    return Outcome(number(value), low=low, high=math.inf if highest is None else number(highest))


def as_outcome(condition: Outcome | bool) -> Outcome:
    """A condition of a witness: an outcome, or a plain truth value."""
    if isinstance(condition, Outcome):
        return condition
    if not isinstance(condition, (bool, np.bool_)):
        raise DomainError(
            "a condition must be a bool or come from at_most, at_least, within or close", got=repr(condition)
        )
    return Outcome(float(condition), low=1.0, kind="truth")
