"""Agreement comes first: a contestant that computes something else is not faster, it is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.case import Contestant
from nlmodel._arrays import to_numpy


OUTPUT, GRADIENT = {"float64": 1e-12, "float32": 1e-6}, {"float64": 1e-12, "float32": 1e-5}
SLACK = 4.0  # times the peer's own distance from its values in double precision, where that is larger


@dataclass(frozen=True)
class Agreement:
    """How far the values of a contestant are from those they must equal.

    Attributes
    ----------
    case, contestant, same_as : who is compared with whom.
    how : the precision, and whether it is as timed.
    gaps : by name the largest difference over the largest value.
    bounds : by name what it may be.
    """

    case: str
    contestant: str
    same_as: str
    how: str
    gaps: Mapping[str, float]
    bounds: Mapping[str, float]

    @property
    def holds(self) -> bool:
        """Whether no gap exceeds its bound."""
        return all(gap <= self.bounds[name] for name, gap in self.gaps.items())

    def __repr__(self) -> str:
        name = max(self.gaps, key=lambda name: self.gaps[name] / self.bounds[name])
        return (
            f"{self.contestant} and {self.same_as} differ in the {name} by {self.gaps[name]:.1e}, "
            f"{'at most' if self.holds else 'not'} {self.bounds[name]:.1e} ({self.how})"
        )


def agreement(
    case: str,
    contestant: Contestant,
    how: str,
    ours: Mapping[str, Any],
    theirs: Mapping[str, Any],
    floor: Mapping[str, float],
) -> Agreement:
    """Compare the values of a contestant with those of the one it must equal.

    `floor` tells by name how far rounding alone carries the other from its own values.
    """
    precision = how.split(",")[0]
    gaps = {name: gap(ours.get(name), theirs.get(name)) for name in sorted(ours.keys() | theirs.keys())}
    bounds = {name: (OUTPUT if name == "output" else GRADIENT)[precision] for name in gaps}
    bounds = {name: contestant.within or max(bound, SLACK * floor.get(name, 0.0)) for name, bound in bounds.items()}
    return Agreement(case, contestant.name, contestant.same_as or "", how, gaps, bounds)


def gap(ours: Any, theirs: Any) -> float:
    """Largest difference over largest value; infinite where there is nothing to compare, or something not finite."""
    if ours is None or theirs is None:
        return np.inf
    left, right = to_numpy(ours).astype(float), to_numpy(theirs).astype(float)
    if left.shape != right.shape or not np.all(np.isfinite(left)) or not np.all(np.isfinite(right)):
        return np.inf
    size, difference = np.max(np.abs(right), initial=0.0), np.max(np.abs(left - right), initial=0.0)
    return float(difference / size) if size > 0 else float(difference and np.inf)
