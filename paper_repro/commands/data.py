"""`data`: look at a copy of CIFAR, or fetch one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from paper_repro.data.layout import DISTRIBUTIONS, LAYOUTS


def add(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "data",
        help="check a copy of CIFAR, or download one",
        description="Reads the official binary or python files, folder or archive, and says what they hold. Offline "
        "unless --download is given. Loading never runs code.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder with the batches, or an archive")
    parser.add_argument("--set", dest="name", choices=LAYOUTS, default="cifar10", help="default cifar10")
    parser.add_argument("--download", action="store_true", help="fetch the official archive into DIR first, checked")
    parser.add_argument("--distribution", choices=DISTRIBUTIONS, default="binary", help="which to download")
    parser.add_argument("--no-verify", action="store_true", help="accept a subset, or other labels")


def run(options: argparse.Namespace) -> int:
    """Fetch when asked, read, describe."""
    from paper_repro.data.prepare import describe, prepare

    report = _show_bytes if options.download and sys.stderr.isatty() else None
    cifar = prepare(
        options.name,
        options.folder,
        fetch=options.download,
        distribution=options.distribution,
        verify=not options.no_verify,
        report=report,
    )
    print(describe(cifar))
    return 0


def _show_bytes(done: int, of: int) -> None:
    print(f"\r{done / 2**20:.0f} of {of / 2**20:.0f} MiB", end="" if done < of else "\n", file=sys.stderr, flush=True)
