"""Runs that were never trained: their folders as training leaves them, and a trainer that makes them."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from paper_repro.config import RunConfig
from paper_repro.sweep import Job, run_folder
from paper_repro.training.result import Result


EPOCHS = 4


def config(row: str, **changes) -> RunConfig:
    """The configuration of a row such as "original-2", for a few epochs on a few images."""
    form, _, blocks = row.partition("-")
    options = {"form": form, "blocks": int(blocks or 0), "epochs": EPOCHS, "milestones": (2, 3), "train_images": 500}
    return RunConfig(**options | changes)


def rows(*names: str, **changes) -> list[tuple[str, RunConfig]]:
    return [(name, config(name, **changes)) for name in names]


def eigenvalues(rng: np.random.Generator, lean: float = 0.0, channels: int = 64) -> list[float]:
    """Of the symmetric part of W_Z (random + lean W_Z^T): negative ones lead for lean < 0, positive for lean > 0."""
    W_Z = rng.standard_normal((channels, channels // 2))
    W = W_Z @ (rng.standard_normal(W_Z.T.shape) + lean * W_Z.T)
    values = np.linalg.eigvalsh((W + W.T) / 2)
    return values[np.argsort(-np.abs(values))].tolist()


def write_run(
    job: Job, out: Path, *, error: float = 20.0, status: str = "finished", epochs: int | None = None, lean: float = 0.0
) -> Path:
    """The folder of a run that came `epochs` far."""
    folder, config = run_folder(job, out), job.config
    folder.mkdir(parents=True, exist_ok=True)
    done = config.epochs if epochs is None else epochs
    lines = ["epoch,lr,train_loss,train_error,test_loss,test_error,images_per_second,seconds"]
    for epoch in range(1, done + 1):
        test = error + 3.0 * (done - epoch)
        lines.append(f"{epoch},0.1,{2.0 / epoch},{test - 1},{2.1 / epoch},{test},1000,10")
    (folder / "log.csv").write_text("\n".join(lines) + "\n")
    rng = np.random.default_rng(job.seed)
    spectra = [
        {"epoch": epoch, "weights": [weight(n, rng, lean * epoch / max(done, 1)) for n in range(config.blocks)]}
        for epoch in range(done + 1)
    ]
    (folder / "spectra.jsonl").write_text("".join(json.dumps(line) + "\n" for line in spectra))
    if status != "running":
        result_of(job, status, done, error).save(folder)
    return folder


def result_of(job: Job, status: str = "finished", epochs: int = EPOCHS, error: float = 20.0) -> Result:
    return Result(
        run_id=job.run_id,
        config_digest=job.config.digest(),
        seed=job.seed,
        status=status,
        reason="the loss is not finite" if status == "diverged" else None,
        epochs_done=epochs,
        final_error=error,
        best_error=error - 0.5,
        best_epoch=epochs,
        final_train_error=error - 1,
        seconds=10.0 * epochs,
        images_per_second=1000.0,
        parameters=1,
        data="0" * 64,
        device="cpu",
        threads=1,
        processes=1,
        date="2026-01-02",
        versions={"torch": "2.9", "nlmodel": "0.1"},
    )


def weight(number: int, rng: np.random.Generator, lean: float) -> dict:
    return {"module": f"nonlocal.{number}", "number": 0, "eigenvalues": eigenvalues(rng, lean)}


@dataclass(frozen=True)
class FakeTrain:
    """Trains nothing: notes who was asked for what, and leaves the folder of a finished run."""

    out: Path
    status: str = "finished"
    seconds: float = 0.0
    device: str = "auto"

    def __call__(self, job: Job, time_limit: float | None) -> Result:
        with (self.out / "calls.txt").open("a") as file:
            file.write(f"{job.row} {job.seed} {os.getpid()} {self.device}\n")
        time.sleep(self.seconds)
        write_run(job, self.out, status=self.status)
        return result_of(job, self.status)


def calls(out: Path) -> list[list[str]]:
    """What the fake trainer was asked for: row, seed, process, device."""
    path = out / "calls.txt"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def executor(max_workers: int) -> SimpleNamespace:
    """A factory as a user would write it."""
    return SimpleNamespace(submit=lambda function, *args: None, max_workers=max_workers)
