"""A run as figures need it: its curves and the spectra of its weights, read from its logs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nlmodel.errors import FileError
from paper_repro.sweep import Job, run_folder, state_of
from paper_repro.sweep.logs import read_log
from paper_repro.training.folder import SPECTRA


@dataclass(frozen=True)
class Weight:
    """One W^n at one epoch: its place, its number in the stage, and all eigenvalues of its symmetric part."""

    module: str
    number: int
    eigenvalues: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class Spectra:
    """All weights of a network at the end of an epoch; epoch 0 is before training."""

    epoch: int
    weights: tuple[Weight, ...] = field(repr=False)


@dataclass(frozen=True)
class Run:
    """One run so far."""

    job: Job
    status: str
    reason: str
    log: dict[str, np.ndarray] = field(repr=False)
    spectra: tuple[Spectra, ...] = field(repr=False)

    @property
    def row(self) -> str:
        return self.job.row

    @property
    def epochs(self) -> int:
        return len(self.log.get("epoch", ()))

    def at(self, epoch: int) -> Spectra | None:
        """The spectra logged nearest to an epoch; None when there are none."""
        return min(self.spectra, key=lambda s: (abs(s.epoch - epoch), s.epoch), default=None)

    @property
    def last(self) -> Spectra | None:
        """The last spectra whose weights are all finite: of a run that diverged, those before it did."""
        finite = [s for s in self.spectra if all(np.all(np.isfinite(w.eigenvalues)) for w in s.weights)]
        return finite[-1] if finite else None


def load_runs(jobs: Iterable[Job], out: Path) -> list[Run]:
    """Every job that has logged at least one epoch, or diverged before.

    Raises   FileError: a log that cannot be read.
    """
    runs = []
    for job in jobs:
        state, folder = state_of(job, out), run_folder(job, out)
        if state.epochs or state.result is not None:
            reason = (state.result.reason if state.result else None) or ""
            runs.append(Run(job, state.status, reason, read_log(folder), read_spectra(folder)))
    return runs


def read_spectra(folder: Path) -> tuple[Spectra, ...]:
    """The spectra that a run logged, in order; a last line that is being written is left out."""
    try:
        text = (folder / SPECTRA).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ()
    try:
        return tuple(_spectra(json.loads(line)) for line in text[: text.rfind("\n") + 1].splitlines())
    except (ValueError, TypeError, KeyError) as error:
        raise FileError(
            f"{folder.name}/{SPECTRA} must hold one object an epoch",
            got=f"{type(error).__name__}: {error}",
            fix="delete the folder of this run and train it again",
        ) from error


def _spectra(line: dict[str, Any]) -> Spectra:
    weights = [
        Weight(str(told["module"]), int(told["number"]), np.array(told["eigenvalues"], dtype=np.float64))
        for told in line["weights"]
    ]
    return Spectra(int(line["epoch"]), tuple(weights))
