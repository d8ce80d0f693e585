"""`mini`: the smallest experiment on real images, within fifteen minutes on two cores."""

from __future__ import annotations

import argparse
from pathlib import Path

from paper_repro.commands import options as opt


PRESET, OUT, LIMIT = "mini", Path("out/mini"), 720.0


def add(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "mini",
        help="four networks on a subset of CIFAR-10 in a quarter of an hour on two cores, with a report",
        description=f"Trains the preset {PRESET}, draws the figures and writes a report. Run it again to go on.",
    )
    parser.set_defaults(run=run)
    opt.add_out(parser, OUT)
    opt.add_seeds(parser, (0,))
    opt.add_training(parser)
    parser.set_defaults(time_limit=LIMIT)


def run(options: argparse.Namespace) -> int:
    """Train, draw, report."""
    from paper_repro.commands.experiment import conduct

    given = " CIFAR=DIR" if options.data is not None else ""
    return conduct(PRESET, options, command=f"make mini{given}", again="make mini CIFAR=DIR")
