"""`python -m validation`: run the ledger, write its report, compare with `ledger.toml`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from nlmodel.errors import NlmodelError
from validation import claims_table, export, pins, report, terminal
from validation.prose import plain
from validation.registry import Claim, explore, natural, select
from validation.run import Result, run_all
from validation.scaffold import scaffold
from validation.verdict import BROKEN


PLAIN_WIDTH = 120


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = argparse.ArgumentParser(
        prog="python -m validation",
        description="Examine the claims of the theory. Exit status 1: one is broken, or not as pinned in ledger.toml.",
    )
    main.add_argument("--only", nargs="+", metavar="ID", help="examine these claims")
    main.add_argument("--list", action="store_true", help="list the claims and stop")
    main.add_argument("--quick", action="store_true", help="fewer examples, smaller sizes")
    main.add_argument("--accept", action="store_true", help="pin the verdicts and headlines found in ledger.toml")
    main.add_argument("--jobs", type=int, metavar="N", help="processes (default 2, for a few claims 1)")
    main.add_argument("--out", type=Path, default=Path("out/validation"), metavar="DIR", help="default out/validation")
    commands = main.add_subparsers(dest="command", metavar="new | table")
    new = commands.add_parser("new", help="write the skeleton of a claim")
    new.add_argument("id", help="C21, S-8, P9 or 4.20")
    new.add_argument("--section", required=True, metavar="NAME", help="module in validation/claims, for example markov")
    table = commands.add_parser("table", help="write the claims table into README.md")
    table.add_argument("--check", action="store_true", help="only say whether the table is up to date")
    table.add_argument("--readme", type=Path, default=Path("README.md"), metavar="FILE")
    return main


def main(
    arguments: Sequence[str] | None = None,
    claims: Mapping[str, Claim] | None = None,
    ledger: Path = pins.LEDGER,
) -> int:
    """Run the command line; returns the exit status.

    Parameters
    ----------
    arguments : the words after the command, by default those of the process.
    claims : the claims by id, by default all of `validation.claims`.
    ledger : the file of pins.
    """
    line = parser()
    options = line.parse_args(arguments)
    if options.quick and options.accept:
        line.error("--accept pins the numbers of a full run: leave out --quick")
    if options.jobs is not None and options.jobs < 1:
        line.error("--jobs must be at least 1")
    try:
        if options.command == "new":
            print(scaffold(options.id, options.section))
            return 0
        found, unreadable = explore() if claims is None else (dict(claims), [])
        for sentence in unreadable:
            print(sentence, file=sys.stderr)
        if options.jobs is None:
            options.jobs = 2 if claims is None and not options.only and (os.cpu_count() or 1) > 1 else 1
        if options.command == "table":
            return claims_table.update(options.readme, found, pins.read(ledger), check=options.check)
        found = select(found, options.only) if options.only else found
        status = show_list(found) if options.list else run(found, options, ledger)
        return status if options.only else max(status, int(bool(unreadable)))
    except NlmodelError as error:
        print(error, file=sys.stderr)
        return 2


def show_list(claims: Mapping[str, Claim]) -> int:
    """Print one line a claim."""
    for claim in claims.values():
        print(f"{claim.id:>5}  {claim.paper}: {plain(claim.title)}")
    return 0


def run(claims: Mapping[str, Claim], options: argparse.Namespace, ledger: Path) -> int:
    """Examine `claims`, write report and JSON, compare with the pins or renew them."""
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    stream = run_all(claims, quick=options.quick, pictures=True, jobs=options.jobs)
    results = sorted(terminal.track(stream, len(claims), console), key=lambda result: natural(result.id))
    console.print(terminal.table(results, claims))
    tell_witnesses(results, console)
    tell_faults(results, console)
    known = pins.read(ledger)
    if options.accept:
        kept = known if options.only else {id: pin for id, pin in known.items() if id in claims}
        pins.write(pins.accept(results, kept), ledger)
        known = pins.read(ledger)
    changed = pins.differences(results, known, quick=options.quick)
    if not options.only:
        changed += [f"{id} is in ledger.toml, but there is no such claim" for id in known if id not in claims]
    for sentence in changed:
        console.print(f"[red]differs[/]  {escape(sentence)}")
    data = export.write(results, claims, options.out)
    page = report.write(results, claims, changed, options.out, quick=options.quick)
    console.print(f"\n{terminal.counts(results)}\n{page}\n{data}")
    return 1 if changed or any(result.verdict == BROKEN for result in results) else 0


def tell_witnesses(results: Sequence[Result], console: Console) -> None:
    """Print every witness."""
    lines = list(terminal.witnesses(results))
    if lines:
        console.print("\n[bold]witnesses[/]")
        for text in lines:
            console.print(escape(text))


def tell_faults(results: Sequence[Result], console: Console) -> None:
    """Print why a claim is broken."""
    for result in results:
        for reason in result.reasons:
            console.print(f"[bold red]broken[/]   {result.id}: {escape(reason)}")
