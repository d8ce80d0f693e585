"""`status PRESET`: how far every row is."""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from paper_repro.commands import options as opt


if TYPE_CHECKING:
    from paper_repro.sweep import State

PLAIN_WIDTH = 160


def add(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser("status", help="how far every row of a preset is")
    parser.set_defaults(run=run)
    opt.add_preset(parser)
    opt.add_out(parser)


def run(options: argparse.Namespace) -> int:
    """Print one line a row."""
    from rich.console import Console

    from paper_repro.presets import preset
    from paper_repro.sweep import queue, remaining_seconds, state_of

    states = [state_of(job, options.out) for job in queue(preset(options.preset), options.seeds)]
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    console.print(sheet(states))
    count = Counter(state.status for state in states)
    done = count["finished"] + count["diverged"]
    left = remaining_seconds(states)
    print(f"{done} of {len(states)} runs done; {'time left unknown' if math.isnan(left) else words(left) + ' left'}")
    return 0


def sheet(states: Sequence[State]) -> Any:
    """The table: seeds by status, error so far, epochs, time left of each row."""
    from rich.table import Table

    from paper_repro.sweep import remaining_seconds
    from paper_repro.sweep.state import STATUSES

    table = Table("row", *STATUSES, "epochs", "error so far", "time left")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in dict.fromkeys(state.job.row for state in states):
        members = [state for state in states if state.job.row == row]
        count = Counter(state.status for state in members)
        errors = sorted(state.error for state in members if math.isfinite(state.error))
        left = remaining_seconds(members)
        table.add_row(
            row,
            *(str(count[status] or "") for status in STATUSES),
            f"{sum(s.epochs for s in members)} of {sum(s.job.config.epochs for s in members)}",
            ""
            if not errors
            else f"{errors[0]:.2f} %"
            if len(errors) == 1
            else f"{errors[0]:.2f} to {errors[-1]:.2f} %",
            "unknown" if math.isnan(left) else words(left) if left else "",
        )
    return table


def words(seconds: float) -> str:
    """A time for reading: 45 s, 12 min, 3 h 20 min, 2 d 4 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"
