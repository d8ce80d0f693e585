"""The table of a preset: ours beside the paper's, a verdict a row and a verdict a statement."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from paper_repro.config import RunConfig
from paper_repro.tables.caption import caption
from paper_repro.tables.gather import RowRuns, gather
from paper_repro.tables.orderings import orderings
from paper_repro.tables.statistics import Summary, summarize
from paper_repro.tables.verdicts import RUNS, OrderingVerdict, Verdict, judge_ordering, judge_row


SEED = 20180601


@dataclass(frozen=True)
class Line:
    """One row: its runs, their summary (None before the first), the paper's number, the verdict."""

    runs: RowRuns
    summary: Summary | None
    printed: float | None
    verdict: Verdict


@dataclass(frozen=True)
class Table:
    """A preset's rows and the paper's statements about them."""

    preset: str
    caption: str
    lines: tuple[Line, ...] = field(repr=False)
    statements: tuple[OrderingVerdict, ...] = field(repr=False)

    HEADER = ("row", "paper", "median", "mean", "95 % interval", "best epoch", "runs", "verdict")
    STATEMENT_HEADER = ("statement", "lower", "higher", "paper", "ours", "95 % interval", "runs", "verdict")

    @property
    def has_runs(self) -> bool:
        return any(line.runs.runs for line in self.lines)

    def cells(self) -> list[tuple[str, ...]]:
        """The rows as text, under `HEADER`."""
        return [_line(line) for line in self.lines]

    def statement_cells(self) -> list[tuple[str, ...]]:
        """The statements as text, under `STATEMENT_HEADER`."""
        return [_statement(found) for found in self.statements]


def build_table(
    preset: str,
    rows: Sequence[tuple[str, RunConfig]],
    results: Iterable[Mapping[str, str]],
    printed: Mapping[str, float],
) -> Table:
    """The table of a preset.

    Parameters
    ----------
    preset : its name.
    rows : its (name, configuration).
    results : rows of its table of results.
    printed : the paper's error of each row that it prints, in percent.

    The bootstrap is seeded: the same results give the same table.
    """
    runs = gather(rows, results)
    by_name = {run.row: run for run in runs}
    lines = []
    for run in runs:
        number = printed.get(run.row)
        lines.append(Line(run, summarize(run.finished) if run.last else None, number, judge_row(run, number)))
    statements = []
    for told in orderings(by_name):
        both = told.lower in printed and told.higher in printed
        gap = round(printed[told.lower] - printed[told.higher], 2) if both else None
        rng = np.random.default_rng(SEED)
        statements.append(judge_ordering(told, by_name[told.lower], by_name[told.higher], gap, rng=rng))
    return Table(preset, caption(preset, runs), tuple(lines), tuple(statements))


def percent(value: float | None, *, signed: bool = False) -> str:
    """An error in percent with two decimals; a dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    return f"{value:+.2f}".replace("-", "−") if signed else f"{value:.2f}"


def interval(low: float, high: float, *, signed: bool = False) -> str:
    """An interval, or a dash where one run has none."""
    return (
        "–"
        if math.isnan(low) or math.isnan(high)
        else f"{percent(low, signed=signed)} to {percent(high, signed=signed)}"
    )


def verdict_words(verdict: Verdict) -> str:
    """The verdict with what it rests on."""
    more = f"; {verdict.needed} would decide" if verdict.needed and verdict.word == "undecided" else ""
    return f"{verdict.word} ({verdict.reason}{more})" if verdict.word else verdict.reason


def _line(line: Line) -> tuple[str, ...]:
    runs, summary = line.runs, line.summary
    diverged = len(runs.diverged)
    count = f"{runs.runs}" + (f", {diverged} diverged" if diverged else "")
    median = "diverged" if diverged and math.isnan(runs.median) else percent(runs.median)
    best = float(np.median(list(runs.best.values()))) if runs.best else None
    return (
        runs.row,
        percent(line.printed),
        median,
        percent(summary and summary.mean),
        interval(summary.low, summary.high) if summary else "–",
        percent(best),
        count,
        verdict_words(line.verdict),
    )


def _statement(found: OrderingVerdict) -> tuple[str, ...]:
    told, gap = found.ordering, found.difference
    return (
        told.words,
        told.lower,
        told.higher,
        percent(found.printed, signed=True),
        percent(gap and gap.mean, signed=True),
        interval(gap.low, gap.high, signed=True) if gap and gap.runs >= RUNS else "–",
        f"{gap.runs} {'pairs' if gap.paired else 'unpaired'}" if gap else "–",
        verdict_words(found.verdict),
    )
