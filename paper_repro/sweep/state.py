"""How far each job is, read from its folder and its lock."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from paper_repro.sweep.jobs import Job, run_folder
from paper_repro.sweep.lock import STALE, is_held
from paper_repro.sweep.logs import read_log
from paper_repro.training.result import DIVERGED, FINISHED, PAUSED, Result, load_result


RUNNING, WAITING = "running", "waiting"
STATUSES = (FINISHED, DIVERGED, PAUSED, RUNNING, WAITING)
DONE = (FINISHED, DIVERGED)


@dataclass(frozen=True)
class State:
    """One job: status, epochs done, last known test error in percent, seconds an epoch takes (nan: unknown)."""

    job: Job
    status: str
    epochs: int = 0
    error: float = math.nan
    seconds_per_epoch: float = math.nan
    result: Result | None = field(default=None, repr=False)

    @property
    def epochs_left(self) -> int:
        return 0 if self.status in DONE else max(0, self.job.config.epochs - self.epochs)


def lock_path(job: Job, out: Path) -> Path:
    """The lock file of a job, in a folder beside the runs."""
    return out / "locks" / job.run_id


def is_done(job: Job, out: Path) -> bool:
    """True when the run has finished or diverged: there is nothing left to train."""
    result = load_result(run_folder(job, out))
    return result is not None and result.done


def state_of(job: Job, out: Path, *, stale: float = STALE) -> State:
    """The state of a job.

    Raises   FileError: its result or its log cannot be read.
    """
    folder = run_folder(job, out)
    result, log = load_result(folder), read_log(folder)
    epochs = len(log.get("epoch", ()))
    error = _last_finite(log.get("test_error", np.array([])))
    pace = float(np.median(log["seconds"])) if epochs and "seconds" in log else math.nan
    if result is not None and result.done:
        final = error if result.final_error is None else result.final_error
        return State(job, result.status, result.epochs_done, final, pace, result)
    if is_held(lock_path(job, out), stale=stale):
        return State(job, RUNNING, epochs, error, pace)
    return State(job, PAUSED if epochs or result is not None else WAITING, epochs, error, pace, result)


def remaining_seconds(states: Sequence[State]) -> float:
    """Time that the rest of the queue takes with as many workers as run now, at least one.

    Each job is paced by its own log, else by that of other seeds of its row, else by the mean of all; nan before the
    first epoch of any.
    """
    known = [state for state in states if math.isfinite(state.seconds_per_epoch)]
    left = [state for state in states if state.epochs_left]
    if not left:
        return 0.0
    if not known:
        return math.nan
    by_row: dict[str, list[float]] = {}
    for state in known:
        by_row.setdefault(state.job.row, []).append(state.seconds_per_epoch)
    overall = float(np.mean([state.seconds_per_epoch for state in known]))

    def pace(state: State) -> float:
        if math.isfinite(state.seconds_per_epoch):
            return state.seconds_per_epoch
        return float(np.mean(by_row.get(state.job.row, overall)))

    workers = max(1, sum(state.status == RUNNING for state in states))
    longest = max(state.epochs_left * pace(state) for state in left)
    return max(longest, sum(state.epochs_left * pace(state) for state in left) / workers)


def _last_finite(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if len(finite) else math.nan
