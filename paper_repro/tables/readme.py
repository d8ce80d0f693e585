"""The table of runs in README.md, between its markers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nlmodel.errors import FileError
from paper_repro.files import write_atomically
from paper_repro.tables.formats import to_markdown
from paper_repro.tables.table import Table


BEGIN, END = "<!-- cifar:begin -->", "<!-- cifar:end -->"
COMMAND = "python -m paper_repro tables --readme"


def markdown(tables: Sequence[Table]) -> str:
    """The tables that have at least one run, each under a heading, and the command that made them."""
    shown = [table for table in tables if table.has_runs]
    parts = [f"Made by `{COMMAND}` from `paper_repro/results/`."]
    parts += [f"**{table.preset}.** {to_markdown(table).rstrip()}" for table in shown]
    return "\n\n".join(parts if shown else [*parts, "No run is finished yet."])


def update(readme: Path, tables: Sequence[Table], *, check: bool = False) -> bool:
    """Write the tables between the markers of `readme`; True when they were up to date before.

    With `check` nothing is written.

    Raises   FileError: no such file, or not one pair of markers.
    """
    if not readme.is_file():
        raise FileError(
            "there is no such file", got=readme.name, fix="run from the root of the project, or name the file"
        )
    text = readme.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise FileError(
            f"{readme.name} needs one pair of markers for the tables of runs",
            got=f"{text.count(BEGIN)} of {BEGIN} and {text.count(END)} of {END}",
            fix=f"put {BEGIN} and {END} on lines of their own where the tables belong",
        )
    before, rest = text.split(BEGIN)
    renewed = f"{before}{BEGIN}\n{markdown(tables)}\n{END}{rest.split(END)[1]}"
    if renewed != text and not check:
        write_atomically(readme, renewed.encode())
    return renewed == text
