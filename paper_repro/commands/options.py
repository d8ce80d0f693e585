"""Options that several commands share, read from their words."""

from __future__ import annotations

import argparse
import re
from pathlib import Path


OUT = Path("out/repro")
RESULTS = Path("paper_repro/results")
UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def duration(text: str) -> float:
    """Seconds from "90", "90s", "12m", "1.5h" or "2d"."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text.strip())
    if not found or float(found[1]) == 0:
        raise argparse.ArgumentTypeError(f"a time such as 90s, 12m or 3h is needed, not {text!r}")
    return float(found[1]) * UNITS[found[2]]


def seeds(text: str) -> tuple[int, ...]:
    """The seeds 0, ..., N - 1 from "N", or those named in "3,7,12"."""
    if not re.fullmatch(r"\d+(,\d+)*,?", text.strip()):
        raise argparse.ArgumentTypeError(f"a number of seeds, or seeds such as 3,7,12, are needed, not {text!r}")
    named = tuple(int(part) for part in text.split(",") if part.strip())
    found = named if "," in text else tuple(range(named[0]))
    if not found:
        raise argparse.ArgumentTypeError("at least one seed is needed")
    return found


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number of at least 1 is needed, not {text!r}")
    return int(text)


def add_preset(parser: argparse.ArgumentParser) -> None:
    """PRESET, and which seeds of it."""
    parser.add_argument("preset", metavar="PRESET", help="table1, table2, mini, short, smoke or ablation")
    add_seeds(parser)


def add_seeds(parser: argparse.ArgumentParser, default: tuple[int, ...] = (0, 1, 2, 3, 4)) -> None:
    """--seeds."""
    parser.add_argument(
        "--seeds",
        type=seeds,
        default=default,
        metavar="N",
        help=f"seeds 0 to N - 1, or a list such as 3,7,12 (default {len(default)})",
    )


def add_out(parser: argparse.ArgumentParser, default: Path = OUT) -> None:
    """--out."""
    parser.add_argument(
        "--out", type=Path, default=default, metavar="DIR", help=f"folder of the runs (default {default})"
    )


def add_data(parser: argparse.ArgumentParser) -> None:
    """--data."""
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="folder with the CIFAR files, binary or python version"
    )


def add_training(parser: argparse.ArgumentParser) -> None:
    """--data, --device, --threads, --time-limit, --quiet."""
    add_data(parser)
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, cuda:1 ...")
    parser.add_argument("--threads", type=positive, metavar="N", help="threads on the CPU (default: all cores)")
    parser.add_argument("--time-limit", type=duration, metavar="TIME", help="pause cleanly after 90s, 12m, 3h ...")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
