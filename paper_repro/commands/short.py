"""`short`: the paper's recipe scaled to twenty epochs on all images, for machines without a GPU."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from paper_repro.commands import options as opt


PRESET, OUT, NICE = "short", Path("out/short"), 10


def add(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "short",
        help="twenty epochs on all images, in the background and in as many sittings as it takes, with a report",
        description=f"Trains the preset {PRESET} at low priority. It stops at --time-limit or Ctrl-C; run it again to "
        "go on.",
    )
    parser.set_defaults(run=run)
    opt.add_out(parser, OUT)
    opt.add_seeds(parser, (0,))
    opt.add_training(parser)


def run(options: argparse.Namespace) -> int:
    """Train, draw, report, giving way to other work."""
    from paper_repro.commands.experiment import conduct

    os.nice(NICE)
    command = "python -m paper_repro short" + (" --data DIR" if options.data is not None else "")
    return conduct(PRESET, options, command=command, again="python -m paper_repro short --data DIR")
