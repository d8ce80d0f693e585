"""What a run shows on the terminal: progress while it works, tables at the end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from validation.outcome import show
from validation.prose import plain
from validation.registry import Claim
from validation.run import Result
from validation.verdict import BROKEN, CONDITIONAL, CONFIRMED, REFUTED, VERDICTS


COLOURS = {CONFIRMED: "green", CONDITIONAL: "yellow", REFUTED: "magenta", BROKEN: "bold red"}
PERIOD = 3.0


def track(results: Iterable[Result], total: int, console: Console) -> Iterator[Result]:
    """Pass the results on, with a bar on a terminal and a line every few seconds elsewhere."""
    with _bar(total, console) if console.is_terminal else _lines(total, console) as tell:
        for result in results:
            tell(result)
            yield result


@contextmanager
def _bar(total: int, console: Console):
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("examining", total=total)
        yield lambda result: progress.update(task, advance=1, description=f"examined {result.id:>5}")


@contextmanager
def _lines(total: int, console: Console):
    done, start = 0, time.monotonic()
    last = start

    def tell(result: Result) -> None:
        nonlocal done, last
        done, now = done + 1, time.monotonic()
        if now - last >= PERIOD or done == total or result.verdict == BROKEN:
            last = now
            console.print(f"{done:>3}/{total}  {now - start:5.0f} s  {result.id}: {result.verdict}", highlight=False)

    yield tell


def table(results: Iterable[Result], claims: Mapping[str, Claim]) -> Table:
    """One row a claim: id, title, verdict, headline, evidence, controls, seconds."""
    out = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("id", "claim", "verdict"):
        out.add_column(name, no_wrap=name != "claim")
    for name in ("headline", "evidence", "controls", "s"):
        out.add_column(name, justify="right", no_wrap=True)
    for result in results:
        record = result.record
        out.add_row(
            result.id,
            escape(plain(claims[result.id].title)),
            f"[{COLOURS[result.verdict]}]{result.verdict}[/]",
            show(result.headline.value) if result.headline else "",
            f"{sum(e.ok for e in record.evidence)}/{len(record.evidence)}",
            f"{sum(c.ok for c in record.controls)}/{len(record.controls)}",
            f"{result.seconds:.1f}",
        )
    return out


def witnesses(results: Iterable[Result]) -> Iterator[str]:
    """One line a witness: what it is, what it measures, what the claim promises."""
    for result in results:
        for witness in result.record.witnesses:
            outcome = witness.violates
            yield f"{result.id:>5}  {plain(witness.name)}: {show(outcome.measured)}, claimed {outcome.range}"


def counts(results: Iterable[Result]) -> str:
    """ "21 claims: 9 confirmed, 7 conditional, 5 refuted, 0 broken; controls 61/61 failed as they must"."""
    results = list(results)
    tally = Counter(result.verdict for result in results)
    controls = [control.ok for result in results for control in result.record.controls]
    verdicts = ", ".join(f"{tally[verdict]} {verdict}" for verdict in VERDICTS)
    return f"{len(results)} claims: {verdicts}; {sum(controls)} of {len(controls)} controls failed as they must"
