"""The tables: on the terminal, in Markdown, and the last lines, one a figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

from benchmarks.case import Case
from benchmarks.figures import IDLE, MISSED, Bytes, Peak, Verdict
from benchmarks.machine import share_of_limit
from benchmarks.record import Record
from benchmarks.workload import Workload


COLUMNS = ("contestant", "measure", "ms", "% of limit", "first / this", "peak MiB", "first / this")
WORDS = 2  # columns that are not numbers
FIGURES = ("figure", "ratio", "must", "goal", "")


def rows(case: Case, record: Record) -> Iterator[list[str]]:
    """A row for each measure of each contestant."""
    first = case.contestants[0].name
    for name in case.measures:
        for contestant in case.contestants:
            key, ours = (case.name, contestant.name, name), (case.name, first, name)
            seconds, peak, mine = record.seconds(key), record.peaks.get(key), record.peaks.get(ours)
            share = share_of_limit(case.work.get(name), seconds, record.ceilings)
            ratio = record.ratio(ours, key)
            yield [
                contestant.name,
                name,
                "-" if seconds is None else f"{1e3 * seconds:.4g}",
                "-" if share is None else f"{100 * share:.0f}",
                "-" if ratio is None else f"{ratio:.3f}",
                "-" if peak is None else f"{peak / 2**20:.1f}",
                "-" if not peak or mine is None else f"{mine / peak:.3f}",
            ]


def terminal(case: Case, record: Record) -> Table:
    """The table of one case for the terminal."""
    table = Table(title=f"{case.name}: {case.about}", title_justify="left", title_style="bold")
    for number, column in enumerate(COLUMNS):
        table.add_column(column, justify="left" if number < WORDS else "right")
    for row in rows(case, record):
        table.add_row(*row)
    return table


def troubles(case: Case, record: Record) -> list[str]:
    """Sentences about what could not be measured or does not agree."""
    found = [f"{case.name}: {IDLE}: {record.idle[case.name]}"] if case.name in record.idle else []
    found += [f"{name}: {reason}" for (at, name), reason in record.troubles.items() if at == case.name]
    found += [f"{key[1]}, {key[2]}: {reason}" for key, reason in record.unweighed.items() if key[0] == case.name]
    return found + [repr(a) for a in record.agreements if a.case == case.name and not a.holds]


def facts_line(facts: Mapping[str, Any]) -> str:
    """The machine and what is compared, in one line."""
    peers = ", ".join(f"{name} {version}" for name, version in facts["peers"].items())
    where = facts["accelerator"] or f"{facts['processor']}, {facts['threads']} threads"
    return f"{where}; torch {facts['packages']['torch']}; peers: {peers}"


def ceilings(record: Record) -> str:
    """The ceilings in their usual units."""
    units = {name: "GFLOP/s" if "products" in name else "GB/s" for name in record.ceilings}
    return ", ".join(f"{name} {record.ceilings[name] / 1e9:.3g} {unit}" for name, unit in units.items())


def markdown(
    facts: Mapping[str, Any], workloads: Sequence[Workload], record: Record, verdicts: Sequence[Verdict]
) -> str:
    """All tables as a Markdown page."""
    parts = ["# Ours beside the peers\n\n", f"{facts_line(facts)}.\n\n", f"Ceilings: {ceilings(record)}.\n"]
    for workload in workloads:
        parts.append(f"\n## {workload.name}: {workload.title}\n")
        for case in workload.cases:
            parts.append(f"\n### {case.name}\n\n{case.about}\n\n")
            if case.name not in record.idle:
                parts += [_line(COLUMNS), _rule(len(COLUMNS), WORDS), *(_line(row) for row in rows(case, record))]
            parts += ["\n", *(f"- {sentence}\n" for sentence in troubles(case, record))]
    parts += ["\n## Figures\n\n", _line(FIGURES), _rule(len(FIGURES), 1)]
    for v in verdicts:
        ratio, goal = "-" if v.ratio is None else f"{v.ratio:.3f}", v.figure.goal
        outcome = f"{v.status}{', goal reached' if v.reaches_goal else ''}{v.reason and ': '}{v.reason}"
        parts.append(
            _line([v.figure.name, ratio, f"{v.figure.must:.3g}", "-" if goal is None else f"{goal:.3g}", outcome])
        )
    return "".join(parts)


def figure_line(verdict: Verdict) -> str:
    """What became of one figure."""
    f = verdict.figure
    if verdict.ratio is None:
        return f"{verdict.status}: {f.name}: {verdict.reason}"
    what = "" if isinstance(f.to, Bytes) else "the peak of " if isinstance(f.of, Peak) else "the time of "
    goal = "" if f.goal is None else f", goal {f.goal:.3g} {'reached' if verdict.reaches_goal else 'not reached'}"
    low, high = verdict.spread or (0, 0)
    spread = "" if verdict.spread is None else f", middle half of the rounds {low:.3f} to {high:.3f}"
    return (
        f"{verdict.status}: {f.name}: {verdict.ratio:.3f} {'>' if verdict.status == MISSED else '<='} {f.must:.3g} "
        f"of {what}{f.beside}{goal}{spread}"
    )


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |\n"


def _rule(columns: int, words: int) -> str:
    return _line(["---"] * words + ["---:"] * (columns - words))
