"""`figures PRESET`: Figures 1 to 4 from the logs, and the training curves."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from paper_repro.commands import options as opt


if TYPE_CHECKING:
    from paper_repro.figures import Picture


def add(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser("figures", help="Figures 1 to 4 from the logs, with what chance gives drawn in")
    parser.set_defaults(run=run)
    opt.add_preset(parser)
    opt.add_out(parser)
    parser.add_argument("--to", type=Path, metavar="DIR", help="default OUT/figures-PRESET")
    parser.add_argument("--formats", default="svg,png,pdf", metavar="LIST", help="default svg,png,pdf")


def run(options: argparse.Namespace) -> int:
    """Draw what there are runs for."""
    from paper_repro.figures import load_runs, pictures
    from paper_repro.presets import preset
    from paper_repro.sweep import queue

    runs = load_runs(queue(preset(options.preset), options.seeds), options.out)
    if not runs:
        print(f"No run of {options.preset} in {options.out} has logged an epoch yet.")
    folder = options.to or options.out / f"figures-{options.preset}"
    for path in draw(pictures(runs), folder, options.formats.split(",")):
        print(path)
    return 0


def draw(drawn: Iterable[Picture], folder: Path, formats: list[str]) -> list[Path]:
    """Each picture in each format, and one text file with the captions."""
    from paper_repro.figures import save
    from paper_repro.files import write_atomically

    paths, captions = list[Path](), list[str]()
    for picture in drawn:
        paths += save(picture.draw(), folder, picture.name, formats)
        captions.append(f"{picture.name}: {f'{picture.of} of the paper. ' if picture.of else ''}{picture.caption}\n")
    if captions:
        write_atomically(folder / "captions.txt", "\n".join(captions).encode())
    return paths
