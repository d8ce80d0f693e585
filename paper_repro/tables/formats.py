"""A table as Markdown, LaTeX, CSV, or on the terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from paper_repro.tables.table import Table
from paper_repro.tables.verdicts import RUNS


LATEX = str.maketrans(
    {"%": r"\%", "&": r"\&", "_": r"\_", "#": r"\#", "$": r"\$", "–": "--", "−": "$-$", "{": r"\{", "}": r"\}"}
)


def to_markdown(table: Table) -> str:
    """Rows, then statements, with the caption above."""
    parts = [table.caption, "", _pipes(table.HEADER, table.cells())]
    if table.statements:
        parts += ["", _pipes(table.STATEMENT_HEADER, table.statement_cells())]
    return "\n".join(parts) + "\n"


def to_latex(table: Table) -> str:
    """Two `tabular` environments with booktabs rules in one `table`."""
    parts = [r"\begin{table}", r"\centering\small", rf"\caption{{{table.caption.translate(LATEX)}}}"]
    parts += _tabular(table.HEADER, table.cells())
    if table.statements:
        parts += ["", r"\medskip", *_tabular(table.STATEMENT_HEADER, table.statement_cells())]
    return "\n".join([*parts, r"\end{table}", ""])


def to_csv(table: Table) -> str:
    """The rows with numbers in full precision, one line a row; statements are rows of kind "ordering"."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("kind", "name", "paper", "median", "mean", "low", "high", "runs", "diverged", "verdict", "needed"))
    for line in table.lines:
        s, runs = line.summary, line.runs
        numbers = (line.printed, runs.median, *((s.mean, s.low, s.high) if s else (None,) * 3))
        told = (runs.runs, len(runs.diverged), line.verdict.word, line.verdict.needed)
        writer.writerow(("row", runs.row, *map(_plain, numbers), *map(_plain, told)))
    for found in table.statements:
        d, told = found.difference, found.ordering
        known = d is not None and d.runs >= RUNS
        ours = (d.mean, *((d.low, d.high) if known else (None, None)), d.runs) if d else (None,) * 4
        numbers = (found.printed, None, *ours)
        name = f"{told.lower} < {told.higher}"
        writer.writerow(("ordering", name, *map(_plain, (*numbers, None, found.verdict.word, found.verdict.needed))))
    return buffer.getvalue()


def to_terminal(table: Table) -> list[Any]:
    """The rows, and the statements where there are any, as `rich` tables."""
    from rich.table import Table as Sheet

    sheets = []
    for title, header, cells in (
        (table.caption, table.HEADER, table.cells()),
        (None, table.STATEMENT_HEADER, table.statement_cells()),
    ):
        if not cells:
            continue
        sheet = Sheet(title=title, title_justify="left", title_style="")
        for k, name in enumerate(header):
            sheet.add_column(name, justify="left" if k in (0, len(header) - 1) else "right")
        for row in cells:
            sheet.add_row(*row)
        sheets.append(sheet)
    return sheets


def _pipes(header: Sequence[str], cells: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *cells]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _tabular(header: Sequence[str], cells: Iterable[Sequence[str]]) -> list[str]:
    body = [" & ".join(cell.translate(LATEX) for cell in line) + r" \\" for line in (header, *cells)]
    columns = "l" + "r" * (len(header) - 2) + "l"
    return [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        body[0],
        r"\midrule",
        *body[1:],
        r"\bottomrule",
        r"\end{tabular}",
    ]


def _plain(value: Any) -> str:
    return "" if value is None or value != value else f"{value:.6g}" if isinstance(value, float) else str(value)
