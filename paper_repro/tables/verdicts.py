"""From runs to a verdict, mechanically: supported, not supported, undecided."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from paper_repro.tables.gather import RowRuns, is_papers
from paper_repro.tables.statistics import Difference, paired_difference, runs_needed, unpaired_difference


SUPPORTED, NOT_SUPPORTED, UNDECIDED = "supported", "not supported", "undecided"
OTHER_RECIPE = "not comparable"
CLOSE = 0.35  # percentage points between medians that count as reproduced
RUNS = 5  # what the paper's own medians are of
GUESSED_STD = 0.2 * math.sqrt(2)  # of a difference of two runs, where there are too few to estimate it


@dataclass(frozen=True)
class Verdict:
    """The word, and what it rests on; `needed` runs would decide an open question."""

    word: str
    reason: str
    needed: int | None = None


def judge_row(runs: RowRuns, printed: float | None) -> Verdict:
    """Whether the paper's number is reproduced.

    supported      the medians differ by at most 0.35 percentage points
    not supported  they differ by more, or at least half of the runs diverged where the paper prints a number
    undecided      fewer runs than the paper's five
    """
    if printed is None:
        return Verdict("", "the paper prints no number")
    if not is_papers(runs.config):
        return Verdict(OTHER_RECIPE, "not the paper's recipe")
    if runs.runs < RUNS:
        return Verdict(UNDECIDED, f"{runs.runs} of {RUNS} runs", RUNS)
    if math.isnan(runs.median):
        return Verdict(NOT_SUPPORTED, f"{len(runs.diverged)} of {runs.runs} runs diverged")
    gap = runs.median - printed
    told = f"median {gap:+.2f} from the paper's".replace("-", "−")
    return Verdict(SUPPORTED if abs(gap) <= CLOSE else NOT_SUPPORTED, told)


@dataclass(frozen=True)
class Ordering:
    """A statement of the paper: `lower` has a lower error than `higher`."""

    lower: str
    higher: str
    words: str


@dataclass(frozen=True)
class OrderingVerdict:
    """An ordering with the difference lower - higher of our runs, and of the paper's numbers."""

    ordering: Ordering
    verdict: Verdict
    difference: Difference | None
    printed: float | None


def judge_ordering(
    ordering: Ordering, lower: RowRuns, higher: RowRuns, printed: float | None, *, rng: np.random.Generator
) -> OrderingVerdict:
    """Whether `lower` has the lower error.

    supported      the 95 % interval of the mean difference lies below zero
    not supported  it lies above
    undecided      it holds zero, or there are fewer than five runs

    Seeds that both rows have are paired; without five of them all runs are compared unpaired.  A run that diverged
    counts with the error of guessing.  The number of runs needed is that which finds the paper's difference
    with 80 % power at the spread seen here; None when there are as many already.
    """
    a, b = lower.counted, higher.counted
    common = sorted(a.keys() & b.keys())
    difference = None
    if len(common) >= RUNS or 2 <= len(common) == max(len(a), len(b)):
        pairs = (np.array([x[seed] for seed in common]) for x in (a, b))
        difference = paired_difference(*pairs, rng=rng)
    elif min(len(a), len(b)) >= 2:
        difference = unpaired_difference(np.array(list(a.values())), np.array(list(b.values())), rng=rng)
    needed = _needed(printed, difference)
    if difference is None or difference.runs < RUNS:
        there = min(len(a), len(b))
        few = Verdict(UNDECIDED, f"{there} of at least {RUNS} runs", None if needed is None else max(RUNS, needed))
        return OrderingVerdict(ordering, few, difference, printed)
    where = "" if is_papers(lower.config) and is_papers(higher.config) else ", under another recipe than the paper's"
    if difference.high < 0:
        verdict = Verdict(SUPPORTED, f"the interval lies below zero{where}")
    elif difference.low > 0:
        verdict = Verdict(NOT_SUPPORTED, f"it is the other way round: the interval lies above zero{where}")
    else:
        more = needed if needed is not None and needed > difference.runs else None
        verdict = Verdict(UNDECIDED, f"the interval holds zero{where}", more)
    return OrderingVerdict(ordering, verdict, difference, printed)


def _needed(printed: float | None, difference: Difference | None) -> int | None:
    if not printed:
        return None
    measured = difference is not None and difference.runs >= RUNS and difference.std > 0
    return runs_needed(printed, difference.std if measured and difference else GUESSED_STD)
