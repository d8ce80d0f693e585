"""Times that can be compared: the contestants in turn, round after round, in one process."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Mapping
from typing import Protocol

import torch

from benchmarks.case import Call


REST = 0.03  # seconds before a sample, in which the threads of the one before, that wait for more work, go to sleep
SHORT = 1.0  # seconds of a call, below which waking up counts
LEAST = 0.05  # seconds a sample lasts at least
MOST = 50  # calls a sample takes at most


class Clock(Protocol):
    """Tells how long one call takes on the average of several."""

    def seconds(self, call: Call, calls: int) -> float: ...


class WallClock:
    """For work that is done when the call returns."""

    def seconds(self, call: Call, calls: int) -> float:
        """Average over `calls` calls."""
        start = time.perf_counter()
        for _ in range(calls):
            call()
        return (time.perf_counter() - start) / calls


class CudaClock:
    """For work that a GPU does in its own time: by events in its stream."""

    def seconds(self, call: Call, calls: int) -> float:
        """Average over `calls` calls."""
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start.record()
        for _ in range(calls):
            call()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1e3 / calls


def clock_of(device: str) -> Clock:
    """The clock of a device."""
    return CudaClock() if device == "cuda" else WallClock()


def rounds(calls: Mapping[str, Call], clock: Clock, count: int) -> dict[str, list[float]]:
    """Seconds of each contestant in each of `count` rounds: first, second, ..., first, second, ...

    OpenMP keeps the threads of a call busy for some milliseconds after it: without a rest they would slow down the next
    contestant.  A round that does not count comes first and tells how many calls make a sample of `LEAST` seconds.
    """
    once = {name: clock.seconds(call, 1) for name, call in calls.items()}
    repeats = {name: min(MOST, max(1, math.ceil(LEAST / max(seconds, 1e-9)))) for name, seconds in once.items()}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(count):
            gc.collect()
            for name, call in calls.items():
                time.sleep(REST)
                if once[name] < SHORT:
                    call()  # wakes processor and threads up again
                samples[name].append(clock.seconds(call, repeats[name]))
    finally:
        if collecting:
            gc.enable()
    return samples
