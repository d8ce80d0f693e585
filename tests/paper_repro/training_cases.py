"""A network and images so small that a run takes half a second, and what of a run is not a matter of the clock."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import torch

from paper_repro.config import RunConfig, run_id
from paper_repro.data.synthetic import synthetic


TINY = RunConfig(dataset="synthetic", depth=11, epochs=3, milestones=(2,), batch_size=8, lr=0.05)
NONLOCAL = TINY.with_(form="proposed", blocks=2, affinity="gaussian", inner=8)
IMAGES = synthetic(train=20, test=10)  # three steps an epoch, the last of four images
CLOCK = ("images_per_second", "seconds")
QUIET = {"data": IMAGES, "device": "cpu", "progress": False}


def folder_of(config: RunConfig, out: Path, seed: int = 0) -> Path:
    return out / run_id(config, seed)


def lines(folder: Path) -> list[dict[str, str]]:
    """log.csv without its columns of the clock."""
    rows = csv.DictReader((folder / "log.csv").read_text().splitlines())
    return [{name: value for name, value in row.items() if name not in CLOCK} for row in rows]


def traces(folder: Path) -> dict[str, object]:
    """All that must not depend on interruptions: weights, curves and spectra."""
    digest = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    return {"weights": digest, "log": lines(folder), "spectra": (folder / "spectra.jsonl").read_text()}


def one_thread() -> None:
    torch.set_num_threads(1)
