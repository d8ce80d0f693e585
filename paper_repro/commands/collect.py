"""`collect PRESET`: finished runs as rows of the table that is kept with the code."""

from __future__ import annotations

import argparse
from pathlib import Path

from paper_repro.commands import options as opt


def add(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "collect", help="write finished runs into paper_repro/results/PRESET.csv, beside the rows that are there"
    )
    parser.set_defaults(run=run)
    opt.add_preset(parser)
    opt.add_out(parser)
    parser.add_argument("--results", type=Path, default=opt.RESULTS, metavar="DIR", help=f"default {opt.RESULTS}")


def run(options: argparse.Namespace) -> int:
    """Collect; the same runs give the same file."""
    from paper_repro.presets import preset
    from paper_repro.sweep import collect, queue

    options.results.mkdir(parents=True, exist_ok=True)
    table = options.results / f"{options.preset}.csv"
    rows = collect(options.preset, queue(preset(options.preset), options.seeds), options.out, table)
    print(f"{len(rows)} runs in {table}")
    return 0
