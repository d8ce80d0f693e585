"""A sweep: one worker here, or several through an executor, all pulling from one queue."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any

from nlmodel.errors import DomainError
from paper_repro.sweep.jobs import Job
from paper_repro.sweep.lock import STALE
from paper_repro.sweep.worker import Report, Train, work


def sweep(
    jobs: Sequence[Job],
    out: Path,
    trains: Sequence[Train],
    *,
    time_limit: float | None = None,
    executor: Any = None,
    stale: float = STALE,
    tell: Callable[[str], None] = print,
) -> Report:
    """Work off the queue; what is finished is skipped, what was paused goes on.

    Parameters
    ----------
    trains : what each worker trains with, as for `work`: one of them a worker, each with its device.
    executor : an object with `submit`, such as those of `make_executor`; None for one worker in this process.  Each
        task pulls jobs until none is left, so that more tasks than there is room for do no harm.
    time_limit : seconds of each worker from its own start.
    tell : gets one line a run of a worker in this process; others print.

    A worker that is killed counts as one failure; what it trained goes on when the sweep is started again.
    An interrupt cancels the workers that have not begun and goes on to the caller.
    """
    if not trains or (executor is None and len(trains) > 1):
        raise DomainError(
            "a sweep needs a worker, and an executor for several", got=f"{len(trains)} workers", fix="executor=..."
        )
    options = {"time_limit": time_limit, "stale": stale}
    if executor is None:
        return work(jobs, out, trains[0], tell=tell, **options)
    futures = [executor.submit(functools.partial(work, **options), list(jobs), out, train) for train in trains]
    report = Report()
    try:
        for future in futures:
            try:
                report += future.result()
            except BrokenExecutor as error:
                tell(f"A worker ended before its time: {error}")
                report += Report(failed=(("worker", str(error)),))
    except BaseException:
        for future in futures:
            with contextlib.suppress(Exception):
                future.cancel()
        raise
    return report
