"""The tables: on the terminal, in Markdown, and the last lines, one a figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

from benchmarks.case import Case
from benchmarks.figures import IDLE, MISSED, Cold, Error, Limit, Number, Peak, Verdict
from benchmarks.machine import share_of_limit
from benchmarks.record import Record
from benchmarks.workload import Workload


COLUMNS = ("contestant", "measure", "ms", "% of limit", "first / this", "peak MiB", "first / this")
MORE = ("error", "cold start, s")  # where some contestant of the case has them
WORDS = 2  # columns that are not numbers
FIGURES = ("figure", "ratio", "must", "goal", "")


def columns(case: Case, record: Record) -> tuple[str, ...]:
    """The titles of a case's columns."""
    there = any(key[0] == case.name for key in record.errors), any(key[0] == case.name for key in record.cold)
    return (*COLUMNS, *(title for title, wanted in zip(MORE, there, strict=True) if wanted))


def rows(case: Case, record: Record) -> Iterator[list[str]]:
    """A row for each measure of each contestant."""
    more = {"error": record.errors, "cold start, s": record.cold}
    more = [more[title] for title in columns(case, record)[len(COLUMNS) :]]
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
                *(f"{numbers[key]:.3g}" if key in numbers else "-" for numbers in more),
            ]


def terminal(case: Case, record: Record) -> Table:
    """The table of one case for the terminal."""
    table = Table(title=f"{case.name}: {case.about}", title_justify="left", title_style="bold")
    for number, column in enumerate(columns(case, record)):
        table.add_column(column, justify="left" if number < WORDS else "right")
    for row in rows(case, record):
        table.add_row(*row)
    return table


def troubles(case: Case, record: Record) -> list[str]:
    """Sentences about what could not be measured or does not agree."""
    found = [f"{case.name}: {IDLE}: {record.idle[case.name]}"] if case.name in record.idle else []
    found += [f"{name}: {reason}" for (at, name), reason in record.troubles.items() if at == case.name]
    unknown = [*record.unweighed.items(), *record.warm.items()]
    found += [f"{key[1]}, {key[2]}: {reason}" for key, reason in unknown if key[0] == case.name]
    return found + [repr(a) for a in record.agreements if a.case == case.name and not a.holds]


def best_peers(case: Case, record: Record) -> list[str]:
    """Of each measure the ratio of the first contestant's time to that of the fastest peer."""
    found, first = [], case.contestants[0].name
    for name in case.measures:
        peers = [c.name for c in case.contestants if c.is_peer and not record.trouble(case.name, c.name)]
        times = [(seconds, peer) for peer in peers if (seconds := record.seconds((case.name, peer, name)))]
        if times and first not in peers:
            _, best = min(times)
            ratio = record.ratio((case.name, first, name), (case.name, best, name))
            found += [] if ratio is None else [f"{name}: {first} / {best}, the fastest peer: {ratio:.3f}"]
    return found


def facts_line(facts: Mapping[str, Any]) -> str:
    """The machine and what is compared, in one line."""
    peers = ", ".join(f"{name} {version}" for name, version in facts["peers"].items())
    where = facts["accelerator"] or f"{facts['processor']}, {facts['threads']} threads"
    return f"{where}; torch {facts['packages']['torch']}; peers: {peers}"


def ceilings(record: Record) -> str:
    """The ceilings in their usual units."""
    units = {"products": "GFLOP/s", "exponentials": "G/s"}
    units = {name: units.get(name.split()[-1], "GB/s") for name in record.ceilings}
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
                titles = columns(case, record)
                parts += [_line(titles), _rule(len(titles), WORDS), *(_line(row) for row in rows(case, record))]
            sentences = best_peers(case, record) + troubles(case, record)
            parts += ["\n", *(f"- {sentence}\n" for sentence in sentences)]
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
    kinds = {Peak: "the peak of ", Cold: "the cold start of ", Error: "the error of "}
    what = "" if isinstance(f.to, Number | Limit) else kinds.get(type(f.of), "the time of ")
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
