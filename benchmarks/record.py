"""Everything that a run of the benchmark has measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import TypeAlias

from benchmarks.agreement import Agreement


Key: TypeAlias = tuple[str, str, str]
"""Case, contestant, measure."""


@dataclass
class Record:
    """Filled as the measurements come.

    Attributes
    ----------
    ceilings : the highest rates seen, by name: operations or bytes a second.
    agreements : the comparisons made first.
    times : seconds, by run and round.
    peaks : bytes above the data.
    errors : distances from what is true.
    cold : seconds of the first call in a fresh process.
    troubles : why a contestant of a case could not be measured.
    unweighed : why there is no peak.
    warm : why there is no cold start.
    idle : why this machine cannot show a case at all.
    """

    ceilings: dict[str, float] = field(default_factory=dict)
    agreements: list[Agreement] = field(default_factory=list)
    times: dict[Key, list[list[float]]] = field(default_factory=dict)
    peaks: dict[Key, int] = field(default_factory=dict)
    errors: dict[Key, float] = field(default_factory=dict)
    cold: dict[Key, float] = field(default_factory=dict)
    troubles: dict[tuple[str, str], str] = field(default_factory=dict)
    unweighed: dict[Key, str] = field(default_factory=dict)
    warm: dict[Key, str] = field(default_factory=dict)
    idle: dict[str, str] = field(default_factory=dict)

    def reached(self, rates: Mapping[str, float]) -> None:
        """Note what the machine has shown that it can do."""
        self.ceilings = {name: max(rate, self.ceilings.get(name, 0.0)) for name, rate in rates.items()}

    def seconds(self, key: Key) -> float | None:
        """Median over the runs of the median over the rounds."""
        return median(median(run) for run in self.times[key]) if self.times.get(key) else None

    def ratios(self, ours: Key, theirs: Key) -> list[list[float]] | None:
        """Of two times within each round, which a slow minute of the machine leaves alone; by run."""
        if ours not in self.times or theirs not in self.times:
            return None
        runs = zip(self.times[ours], self.times[theirs], strict=True)
        return [[a / b for a, b in zip(*run, strict=True)] for run in runs]

    def ratio(self, ours: Key, theirs: Key) -> float | None:
        """Median over the runs of the median over the rounds of the ratio of two times."""
        found = self.ratios(ours, theirs)
        return median(median(run) for run in found) if found else None

    def trouble(self, case: str, contestant: str) -> str | None:
        """Why this contestant of this case counts for nothing: it could not be measured, or it does not agree."""
        apart = [a for a in self.agreements if (a.case, a.contestant) == (case, contestant) and not a.holds]
        return self.troubles.get((case, contestant)) or (repr(apart[0]) if apart else None)
