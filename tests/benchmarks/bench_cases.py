"""Contestants whose times, values and memory are known beforehand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.case import FORWARD, Built, Case, Contestant, Setting, Work
from benchmarks.figures import Bytes, Figure, timed, weighed
from benchmarks.peers import MissingPeer
from benchmarks.workload import Workload


PLANTED = 64 * 2**20
RACE, MEMORY = "W0 race", "W0 memory"


class Ticking:
    """A clock that takes each contestant's own word for its seconds, and notes who was called."""

    def __init__(self):
        self.order: list[str] = []

    def seconds(self, call: Callable[[], object], calls: int) -> float:
        """What the last call says."""
        for _ in range(calls):
            said = call()
            if isinstance(said, tuple):
                self.order.append(said[0])
        return said[1] if isinstance(said, tuple) else 1e-3


def contestant(name: str, *seconds: float, value: float = 1.0, error: float | None = None, **more) -> Contestant:
    """Says that it takes these seconds in turn, the last of them from then on."""
    errors = {} if error is None else {FORWARD: lambda: error}

    def build(setting: Setting) -> Built:
        taken = iter(seconds)
        last = [1.0]

        def call() -> tuple[str, float]:
            last[0] = next(taken, last[0])
            return name, last[0]

        return Built({FORWARD: call}, lambda: {"output": np.full(3, value)}, errors)

    return Contestant(name, build, **more)


def absent(setting: Setting) -> Built:
    """A peer that is not there."""
    raise MissingPeer("rival is not installed")


def failing(setting: Setting) -> Built:
    """One that fails."""
    raise RuntimeError("out of luck\nand of lines")


def allocating(setting: Setting) -> Built:
    """Touches `PLANTED` bytes and frees them, beside as many that are its data."""
    data = np.ones(PLANTED, dtype=np.uint8)
    return Built({FORWARD: lambda: int(np.ones(PLANTED, dtype=np.uint8)[-1])}, lambda: {"output": data[:1]})


def sparing(setting: Setting) -> Built:
    """Has as many bytes of data and touches no others."""
    data = np.ones(PLANTED, dtype=np.uint8)
    return Built({FORWARD: lambda: int(data[-1])}, lambda: {"output": data[:1]})


def workload(ours: Contestant, peer: Contestant, *figures: Figure, **more) -> Workload:
    """One race, and what it must show: at most one half, three tenths as the goal."""
    case = Case(RACE, "a race", (ours, peer), (FORWARD,), {FORWARD: Work(1e9, 1e6)}, **more)
    figures = figures or (timed(RACE, FORWARD, ours.name, peer.name, 0.5, 0.3),)
    return Workload("W0", "a workload", __name__, (case,), figures)


WORKLOAD = Workload(
    "W0",
    "of known memory",
    __name__,
    (Case(MEMORY, "", (Contestant("sparing", sparing), Contestant("allocating", allocating)), (FORWARD,)),),
    (
        weighed(MEMORY, FORWARD, "sparing", "allocating", 0.1),
        weighed(MEMORY, FORWARD, "allocating", Bytes("1 GiB", 2.0**30), 0.1),
    ),
)
