"""`tables [PRESET ...]`: ours beside the paper's, with verdicts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from paper_repro.commands import options as opt


if TYPE_CHECKING:
    from paper_repro.tables import Table

SHOWN = ("table1", "table2", "short", "mini")
FORMATS = {"markdown": "md", "latex": "tex", "csv": "csv"}


def add(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser("tables", help="the paper's tables: ours beside the printed numbers, with verdicts")
    parser.set_defaults(run=run)
    parser.add_argument("presets", nargs="*", metavar="PRESET", help=f"default {' '.join(SHOWN)}, those with runs")
    parser.add_argument("--results", type=Path, default=opt.RESULTS, metavar="DIR", help=f"default {opt.RESULTS}")
    parser.add_argument("--format", choices=FORMATS, help="print this instead of a table for the terminal")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write all formats into this folder")
    parser.add_argument(
        "--readme",
        nargs="?",
        type=Path,
        const=Path("README.md"),
        metavar="FILE",
        help="write the tables between the markers of README.md",
    )
    parser.add_argument("--check", action="store_true", help="with --readme: only say whether it is up to date")


def run(options: argparse.Namespace) -> int:
    """Print or write the tables; 1 when --check finds the README out of date."""
    from paper_repro.tables import readme

    found = [table_of(name, options.results) for name in options.presets or SHOWN]
    shown = [table for table in found if options.presets or table.has_runs]
    if options.readme is not None:
        fresh = readme.update(options.readme, found, check=options.check)
        state = "up to date" if fresh else f"out of date, run {readme.COMMAND}" if options.check else "written"
        print(f"{options.readme}: the tables are {state}")
        return int(options.check and not fresh)
    if not shown:
        print(f"No finished run in {options.results}.")
    if options.out is not None:
        for table in shown:
            for path in write(table, options.out, table.preset):
                print(path)
    elif options.format:
        print("\n".join(render(table, options.format) for table in shown), end="")
    else:
        show(shown)
    return 0


def table_of(name: str, results: Path) -> Table:
    """The table of a preset from its file of results."""
    from paper_repro.presets import preset
    from paper_repro.sweep import read_rows
    from paper_repro.tables import build_table
    from paper_repro.tables.printed import printed

    return build_table(name, preset(name), read_rows(results / f"{name}.csv"), printed(name))


def render(table: Table, form: str) -> str:
    """The table as text."""
    from paper_repro.tables import to_csv, to_latex, to_markdown

    return {"markdown": to_markdown, "latex": to_latex, "csv": to_csv}[form](table)


def write(table: Table, folder: Path, stem: str) -> list[Path]:
    """All formats as files."""
    from paper_repro.files import write_atomically

    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{stem}.{suffix}" for suffix in FORMATS.values()]
    for form, path in zip(FORMATS, paths, strict=True):
        write_atomically(path, render(table, form).encode())
    return paths


def show(tables: list[Table]) -> None:
    """The tables on the terminal."""
    from rich.console import Console

    from paper_repro.tables import to_terminal

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 160
    for table in tables:
        for sheet in to_terminal(table):
            console.print(sheet)
