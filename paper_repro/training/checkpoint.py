"""The full state of a run in one file: a line of JSON that says whose it is, then the state as torch stores it."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nlmodel.errors import FileError
from paper_repro.files import write_atomically


CHECKPOINT = "checkpoint.pt"
SCHEMA = 1
LONGEST_HEADER = 4096  # bytes


@dataclass(frozen=True)
class Owner:
    """The run that a checkpoint belongs to: what must agree for going on to make sense."""

    run_id: str
    config_digest: str
    data: str
    processes: int


@dataclass
class Progress:
    """How far a run has come, beside its tensors.

    Attributes
    ----------
    epoch, step : full epochs, and steps done of the next one.
    rows, spectra : the lines of log.csv and spectra.jsonl so far; the files are copies of them.
    seconds, training_seconds : of the whole run, and of the steps of this epoch.
    norm_at_start : Euclidean norm of the initial weights.
    """

    epoch: int
    step: int
    rows: list[dict[str, Any]]
    spectra: list[str]
    seconds: float
    training_seconds: float
    norm_at_start: float


def save_checkpoint(path: Path, owner: Owner, progress: Progress, tensors: Mapping[str, Tensor]) -> None:
    """Write the state of a run, whole or not at all."""
    buffer = io.BytesIO()
    torch.save({"progress": asdict(progress), "tensors": dict(tensors)}, buffer)
    payload = buffer.getvalue()
    header = {"nlmodel checkpoint": SCHEMA, "sha256": hashlib.sha256(payload).hexdigest(), **asdict(owner)}
    write_atomically(path, json.dumps(header).encode() + b"\n" + payload)


def load_checkpoint(path: Path, owner: Owner) -> tuple[Progress, dict[str, Tensor]] | None:
    """The state that `owner` left, None when there is none.

    Raises   FileError: the file is damaged, of another program or version, or of another run; the message names both.
             Nothing in it is run.
    """
    try:
        blob = path.read_bytes()
    except FileNotFoundError:
        return None
    line, newline, payload = blob.partition(b"\n")
    header = _header(line if newline and len(line) <= LONGEST_HEADER else b"", path)
    found = hashlib.sha256(payload).hexdigest()
    if header.get("sha256") != found:
        raise refusal(path, f"SHA-256 {found}, expected {header.get('sha256')}", "the file is damaged or cut off")
    for name, wanted in asdict(owner).items():
        if header.get(name) != wanted:
            why = "a run goes on only with its own configuration, seed, images and number of processes"
            raise refusal(path, f"{name} {header.get(name)!r}, this run has {wanted!r}", why)
    try:
        state = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
        return _progress(state["progress"]), dict(state["tensors"])
    except Exception as error:  # whatever torch meets in bytes that it did not write
        first = str(error).partition("\n")[0]
        raise refusal(path, f"{type(error).__name__}: {first}", "it does not hold the state of a run") from error


def _header(line: bytes, path: Path) -> dict[str, Any]:
    try:
        header = json.loads(line)
    except ValueError:
        header = None
    if not isinstance(header, dict) or header.get("nlmodel checkpoint") != SCHEMA:
        version = header.get("nlmodel checkpoint") if isinstance(header, dict) else None
        got = "a file of another program" if version is None else f"version {version}, this program writes {SCHEMA}"
        raise refusal(path, got, "its state cannot be understood")
    return header


def _progress(stored: dict[str, Any]) -> Progress:
    progress = Progress(**stored)
    for name in ("epoch", "step"):
        if not isinstance(stored[name], int) or stored[name] < 0:
            raise ValueError(f"{name} = {stored[name]!r}")
    if len(progress.rows) != progress.epoch:
        raise ValueError(f"{len(progress.rows)} lines of the log for {progress.epoch} epochs")
    return progress


def refusal(path: Path, got: str, why: str) -> FileError:
    """The error that a checkpoint is answered with that cannot be gone on from."""
    return FileError(
        f"{path.parent.name}/{path.name} must be a checkpoint of this run",
        got=got,
        why=why,
        fix="delete the folder of the run, or pass resume=False, to train it from the start",
    )
