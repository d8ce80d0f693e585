"""`python -m benchmarks all`: measure, report, and judge the must figures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console

from benchmarks import export, machine, tables
from benchmarks.case import Setting
from benchmarks.figures import MISSED, Verdict, exit_status, judge
from benchmarks.record import Record
from benchmarks.run import Amount, measure
from benchmarks.timing import Clock, clock_of
from benchmarks.workload import ALL, GROUPS, Workload, workloads
from nlmodel.errors import NlmodelError


PLAIN_WIDTH = 140
FEWEST = 5  # rounds


def parser() -> argparse.ArgumentParser:
    """The command line."""
    line = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Ours beside the peers. Exit status 0: every must figure is met or not applicable. 1: one is "
        "missed. 3: none is missed, but one is not met either, because a peer is not installed or fails.",
    )
    line.add_argument("group", choices=(*GROUPS, ALL), help="which workloads")
    line.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="these workloads, or cases by a part of them"
    )
    line.add_argument("--list", action="store_true", help="list workloads, cases and figures, and stop")
    line.add_argument("--runs", type=int, default=3, metavar="N", help="times through all cases (default 3)")
    line.add_argument(
        "--rounds", type=int, default=7, metavar="N", help=f"rounds of a run (default 7, at least {FEWEST})"
    )
    line.add_argument("--threads", type=int, metavar="N", help="default: as many as torch takes")
    line.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default cpu")
    line.add_argument("--out", type=Path, default=Path("out/benchmarks"), metavar="DIR", help="default out/benchmarks")
    line.add_argument("--keep", action="store_true", help="also write benchmarks/results/<workload>-<machine>.json")
    line.add_argument("--no-memory", action="store_true", help="neither memory nor cold starts")
    line.add_argument("--quick", action="store_true", help="tiny sizes: does all run and agree? judges no figure")
    return line


def main(
    arguments: Sequence[str] | None = None, found: list[Workload] | None = None, clock: Clock | None = None
) -> int:
    """Run the command line; returns the exit status.

    Parameters
    ----------
    arguments : the words after the command, by default those of the process.
    found : workloads in the place of those of the group.
    clock : in the place of the device's.
    """
    line = parser()
    options = line.parse_args(arguments)
    if options.runs < 1 or options.rounds < FEWEST:
        line.error(f"--runs must be at least 1, --rounds at least {FEWEST}")
    if options.threads is not None and options.threads < 1:
        line.error("--threads must be at least 1")
    if options.device == "cuda" and not torch.cuda.is_available():
        line.error("--device cuda: this torch sees no CUDA device")
    try:
        chosen = workloads(options.group, options.only) if found is None else found
    except NlmodelError as error:
        print(error, file=sys.stderr)
        return 2
    if options.keep and options.quick:
        line.error("--keep keeps figures, and --quick has none: leave one of them out")
    names = {workload.name.casefold() for workload in chosen}
    if options.keep and any(word.casefold() not in names for word in options.only):
        line.error("--keep keeps whole workloads: name them in --only, not cases of them")
    return show(chosen) if options.list else run(chosen, options, clock or clock_of(options.device))


def show(chosen: Sequence[Workload]) -> int:
    """Print what there is."""
    for workload in chosen:
        print(f"{workload.name}  {workload.title}")
        for case in workload.cases:
            print(f"    {case.name}: {', '.join(c.name for c in case.contestants)}")
        for figure in workload.figures:
            print(f"    at most {figure.must:.3g} of {figure.beside}: {figure.name}")
    return 0


def run(chosen: Sequence[Workload], options: argparse.Namespace, clock: Clock) -> int:
    """Measure, print the tables, write the files, end with one line a figure."""
    machine.prepare(options.device, options.threads)
    console, facts = Console(highlight=False, soft_wrap=True), machine.facts(options.device)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    console.print(tables.facts_line(facts), markup=False)
    amount = Amount(
        facts["threads"],
        1 if options.quick else options.runs,
        1 if options.quick else options.rounds,
        memory=not (options.quick or options.no_memory),
        limits=not options.quick,
    )
    setting = Setting(options.device, quick=options.quick)
    record = measure(chosen, setting, amount, clock, lambda text: print(text, file=sys.stderr, flush=True))
    for case in (case for workload in chosen for case in workload.cases):
        if case.name not in record.idle:
            console.print(tables.terminal(case, record))
        for sentence in tables.best_peers(case, record) + tables.troubles(case, record):
            console.print(f"  {sentence}", markup=False)
    verdicts = [] if options.quick else [judge(figure, record) for w in chosen for figure in w.figures]
    for path in export.write(options, facts, chosen, record, verdicts):
        console.print(str(path), markup=False)
    for text in last_lines(record, verdicts, quick=options.quick):
        console.print(text, markup=False)
    return int(any(not a.holds for a in record.agreements)) if options.quick else exit_status(verdicts)


def last_lines(record: Record, verdicts: Sequence[Verdict], *, quick: bool) -> list[str]:
    """One line a figure; of tiny sizes only who disagrees."""
    if not quick:
        return [tables.figure_line(verdict) for verdict in verdicts]
    apart = [f"{MISSED}: {a.case}: {a!r}" for a in record.agreements if not a.holds]
    return ["tiny sizes: no figure is judged", *apart]
