"""One worker: takes the next job that is free, until none is left or the time is over."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nlmodel._arrays import check_number
from nlmodel.errors import DomainError
from paper_repro.sweep.jobs import Job
from paper_repro.sweep.lock import STALE, Lock
from paper_repro.sweep.state import is_done, lock_path
from paper_repro.training.result import FINISHED, PAUSED, Result


Train = Callable[[Job, float | None], Result]


@dataclass(frozen=True)
class Report:
    """What a worker, or several, did: run ids by outcome, and what failed with its reason."""

    finished: tuple[str, ...] = ()
    diverged: tuple[str, ...] = ()
    paused: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()

    def __add__(self, other: Report) -> Report:
        return Report(
            self.finished + other.finished,
            self.diverged + other.diverged,
            self.paused + other.paused,
            self.failed + other.failed,
        )

    def __repr__(self) -> str:
        counts = [f"{len(getattr(self, name))} {name}" for name in ("finished", "diverged", "paused", "failed")]
        return f"Report({', '.join(counts)})"


def work(
    jobs: Sequence[Job],
    out: Path,
    train: Train,
    *,
    time_limit: float | None = None,
    stale: float = STALE,
    tell: Callable[[str], None] = print,
) -> Report:
    """Train every job that is neither done nor in the hands of another worker.

    Parameters
    ----------
    jobs : in the order in which they should be done.
    out : folder of all runs; made when missing.
    train : called as train(job, seconds left); returns its `Result`.
    time_limit : seconds after which the run in progress is paused and no other begun; None for no limit.
    stale : seconds without a heartbeat after which the job of another worker is taken over.
    tell : gets one line a run.

    A run that raises is told, counted as failed and not tried again by this worker; the next job follows.  An interrupt
    releases the lock and goes on to the caller.
    """
    if together() > 1:
        raise DomainError(
            "workers train alone",
            got=f"{together()} processes that torchrun started as one group",
            fix="torchrun for one large run: python -m paper_repro train; several workers: sweep --workers N",
        )
    if time_limit is not None:
        check_number(time_limit, "time_limit", above=0.0)
    end = None if time_limit is None else time.monotonic() + time_limit
    (out / "locks").mkdir(parents=True, exist_ok=True)
    report, tried, busy = Report(), set[str](), set[str]()
    while job := _next(jobs, out, tried | busy):
        left = None if end is None else end - time.monotonic()
        if left is not None and left <= 0:
            break
        lock = Lock.acquire(lock_path(job, out), stale=stale)
        if lock is None:
            busy.add(job.run_id)
            continue
        with lock.held(stale=stale):
            if not is_done(job, out):  # else by another worker, between the look and the lock
                report += _run(job, train, left, tell)
                busy.clear()  # while this one ran, others may have given up
        tried.add(job.run_id)
    return report


def together() -> int:
    """How many processes torchrun started to train one network together; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def _next(jobs: Sequence[Job], out: Path, passed: set[str]) -> Job | None:
    """The first job that is neither in `passed` nor done by anybody."""
    return next((job for job in jobs if job.run_id not in passed and not is_done(job, out)), None)


def _run(job: Job, train: Train, seconds: float | None, tell: Callable[[str], None]) -> Report:
    name = f"{job.row}, seed {job.seed}"
    begun = time.monotonic()
    try:
        result = train(job, seconds)
    except Exception as error:
        message = " ".join(f"{type(error).__name__}: {error}".split())
        tell(f"{name}: failed. {message}")
        return Report(failed=((job.run_id, message),))
    took = f"{time.monotonic() - begun:.0f} s"
    if result.status == PAUSED:
        tell(f"{name}: paused after {result.epochs_done} of {job.config.epochs} epochs, {took}")
        return Report(paused=(job.run_id,))
    done = (job.run_id,)
    told = f"error {result.final_error:.2f} %" if result.status == FINISHED else f"diverged. {result.reason}"
    tell(f"{name}: {told}, {took}")
    return Report(finished=done) if result.status == FINISHED else Report(diverged=done)
