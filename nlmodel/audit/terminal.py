"""An audit on the terminal: findings first, then the numbers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, TextIO

from nlmodel.audit.packages import require
from nlmodel.audit.report import Audit
from nlmodel.audit.words import number, to_plain


WORDS = {"act": ("ACT", "bold red"), "watch": ("WATCH", "bold yellow"), "good": ("GOOD", "bold green")}
PLAIN_WIDTH = 100


def print_audits(audits: Sequence[Audit], source: str, notes: Sequence[str], stream: TextIO) -> None:
    """Print the audits of one file; colours and full width on a terminal only."""
    console = require("rich.console").Console(file=stream, highlight=False)
    if console.is_terminal:
        _print(console, audits, source, notes)
        return
    buffer = io.StringIO()
    _print(require("rich.console").Console(file=buffer, highlight=False, width=PLAIN_WIDTH), audits, source, notes)
    stream.writelines(f"{line.rstrip()}\n" for line in buffer.getvalue().splitlines())


def _print(console: Any, audits: Sequence[Audit], source: str, notes: Sequence[str]) -> None:
    text = require("rich.text").Text
    console.print()
    console.print(text(f"Audit of {source}", style="bold"))
    for note in notes:
        console.print(text(to_plain(note), style="dim"))
    for audit in audits:
        _print_audit(console, text, audit)


def _print_audit(console: Any, text: Any, audit: Audit) -> None:
    console.print()
    console.print(require("rich.rule").Rule(text(f"{audit.name}: {audit.subject}"), align="left", style="dim"))
    for line in audit.assumed:
        console.print(text(f"  {to_plain(line)}", style="dim"))
    console.print()
    console.print(text("What this means, what to do", style="bold"))
    grid = require("rich.table").Table.grid(padding=(0, 1))
    grid.add_column(width=6)
    grid.add_column()
    for finding in audit.ordered:
        word, style = WORDS[finding.level]
        body = text(to_plain(finding.headline), style="bold")
        body.append(f"\n{to_plain(finding.consequence)}", style="not bold")
        if finding.remedy:
            body.append("\nDo: ", style="bold")
            body.append(to_plain(finding.remedy), style="not bold")
        grid.add_row(text(word, style=style), body)
        grid.add_row("", "")
    console.print(grid)
    for section in audit.sections:
        table = require("rich.table").Table(
            box=require("rich.box").SIMPLE_HEAD,
            show_header=False,
            padding=(0, 1),
            title_justify="left",
            title=text(section.title, style="bold"),
        )
        table.add_column(ratio=5)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(ratio=6, style="dim")
        for fact in section.facts:
            table.add_row(text(to_plain(fact.label)), text(number(fact.value)), text(to_plain(fact.meaning)))
        console.print(table)
