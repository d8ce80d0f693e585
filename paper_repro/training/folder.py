"""The files of a run: what was asked for, where it ran, its curves and its spectra."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from nlmodel.audit.environment import environment
from nlmodel.errors import FileError
from paper_repro.config import RunConfig
from paper_repro.files import write_atomically
from paper_repro.training.checkpoint import CHECKPOINT


CONFIG, ENVIRONMENT, LOG, SPECTRA, WEIGHTS, BOARD = (
    "config.json", "environment.json", "log.csv", "spectra.jsonl", "weights.safetensors", "tensorboard",
)  # fmt: skip
COLUMNS = (
    "epoch", "lr", "train_loss", "train_error", "test_loss", "test_error", "images_per_second", "seconds",
)  # fmt: skip


class Folder:
    """The folder of one run; only the leading process of a group writes into it."""

    def __init__(self, path: Path, *, writes: bool = True):
        self.path, self.writes = path, writes
        self._board: Any = None

    @property
    def checkpoint(self) -> Path:
        return self.path / CHECKPOINT

    def clear(self) -> None:
        """Forget an earlier run."""
        if self.writes and self.path.exists():
            shutil.rmtree(self.path)

    def begin(self, config: RunConfig, device: torch.device, processes: int) -> None:
        """Make the folder and write the configuration, and the environment beside those of earlier starts.

        Raises   FileError: the folder is that of another configuration.
        """
        if not self.writes:
            return
        self.path.mkdir(parents=True, exist_ok=True)
        for part in self.path.glob(".*.part"):  # of a save that was killed
            part.unlink()
        text = config.canonical_json()
        there = _read(self.path / CONFIG)
        if there is not None and json.loads(there) != json.loads(text):
            raise FileError(
                f"{self.path.name}/{CONFIG} must be the configuration of this run",
                got="another one",
                why="a folder holds one run",
                fix="choose another --out, or delete the folder",
            )
        write_atomically(self.path / CONFIG, text.encode() + b"\n")
        starts = json.loads(_read(self.path / ENVIRONMENT) or "[]")
        here = where(device, processes)
        if here not in starts:
            write_atomically(self.path / ENVIRONMENT, json.dumps([*starts, here], indent=1).encode() + b"\n")

    def write_logs(self, rows: Sequence[dict[str, Any]], spectra: Sequence[str]) -> None:
        """Curves and spectra as far as they are known."""
        if self.writes:
            write_atomically(self.path / LOG, to_csv(rows).encode())
            write_atomically(self.path / SPECTRA, "".join(f"{line}\n" for line in spectra).encode())

    def write_weights(self, network: torch.nn.Module, config: RunConfig) -> None:
        """Weights and running averages of the trained network, and its configuration."""
        if self.writes:
            from safetensors.torch import save

            tensors = {name: t.detach().cpu().contiguous() for name, t in network.state_dict().items()}
            metadata = {"config": config.canonical_json()}  # one entry: the order of several is random
            write_atomically(self.path / WEIGHTS, save(tensors, metadata))

    def write_scalars(self, row: dict[str, Any]) -> None:
        """The line of an epoch for TensorBoard, where that is installed."""
        if not self.writes or importlib.util.find_spec("tensorboard") is None:
            return
        if self._board is None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(self.path / BOARD), purge_step=row["epoch"])
        for name in COLUMNS[1:]:
            if row[name] is not None:
                self._board.add_scalar(name, row[name], row["epoch"])

    def close(self) -> None:
        """Finish what TensorBoard holds back."""
        if self._board is not None:
            self._board.close()


def to_csv(rows: Sequence[dict[str, Any]]) -> str:
    """The lines of log.csv; the last two columns are the only ones that depend on the clock."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        values = (row[name] for name in COLUMNS)
        writer.writerow(["" if v is None else f"{v:.8g}" for v in values])
    return buffer.getvalue()


def where(device: torch.device, processes: int) -> dict[str, str]:
    """The environment that bits and seconds depend on."""
    return environment() | {"device": device_name(device), "processes": str(processes)}


def device_name(device: torch.device) -> str:
    """The model of a GPU, or "cpu"."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None
