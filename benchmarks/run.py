"""A run: for every case agreement first, then the rounds, then the memory."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from benchmarks.agreement import Agreement, agreement, gap
from benchmarks.case import Built, Case, Contestant, Setting
from benchmarks.machine import ceilings
from benchmarks.memory import peak_in_fresh_process
from benchmarks.peers import MissingPeer
from benchmarks.record import Record
from benchmarks.timing import Clock, rounds
from benchmarks.workload import Workload


T = TypeVar("T")

FEW = 3  # images on which values are compared in double precision
AS_TIMED = "float32, as timed"


@dataclass(frozen=True)
class Amount:
    """How much is measured: `runs` times through all cases with `count` rounds each, on so many threads.

    `memory` and `limits` tell whether peaks and the ceilings of the machine are measured too.
    """

    threads: int
    runs: int = 3
    count: int = 7
    memory: bool = True
    limits: bool = True


def measure(
    workloads: Sequence[Workload], setting: Setting, amount: Amount, clock: Clock, tell: Callable[[str], None]
) -> Record:
    """Measure all cases of the workloads; `tell` hears what is being done."""
    record = Record()
    cases = [(workload.module, case) for workload in workloads for case in workload.cases]
    record.idle = {case.name: reason for _, case in cases if (reason := case.idle(setting.device))}
    cases = [(module, case) for module, case in cases if case.name not in record.idle]
    for _, case in cases:
        tell(f"{case.name}: agreement")
        record.agreements += compare(case, setting, record)
    ready = {case.name: prepare(case, setting, record) for _, case in cases}
    for run in range(amount.runs):
        if amount.limits:
            record.reached(ceilings(setting.device, clock))
        for _, case in cases:
            tell(f"{case.name}: run {run + 1} of {amount.runs}")
            race(case, ready[case.name], amount.count, clock, record)
    ready.clear()
    for module, case in cases if amount.memory else ():
        tell(f"{case.name}: memory")
        weigh(module, case, setting, amount.threads, record)
    return record


def compare(case: Case, setting: Setting, record: Record) -> list[Agreement]:
    """The values of those that must agree: on few images in both precisions, and as they are timed.

    In single precision both are held against the peer in double precision, which tells how far rounding alone leads.
    """

    def values(contestant: Contestant, where: Setting) -> Mapping[str, Any] | None:
        return attempt(case, contestant, record, lambda: contestant.build(where).values())

    found = []
    for ours in case.contestants:
        if ours.same_as is None:
            continue
        theirs, own = case.contestant(ours.same_as), {}
        exact = values(theirs, setting.on(FEW, "float64"))
        rounded = values(theirs, setting.on(FEW, "float32"))
        if exact is None or rounded is None:
            continue
        own = {name: gap(rounded.get(name), value) for name, value in exact.items()}
        pairs = [
            ("float64", setting.on(FEW, "float64"), exact, {}),
            ("float32", setting.on(FEW, "float32"), exact, own),
        ]
        for how, where, wanted, floor in pairs if ours.within is None and not ours.compiles else ():
            if (given := values(ours, where)) is not None:
                found.append(agreement(case.name, ours, how, given, wanted, floor))
        given, wanted = values(ours, setting), values(theirs, setting)
        if given is not None and wanted is not None:
            found.append(agreement(case.name, ours, AS_TIMED, given, wanted, own))
    return found


def prepare(case: Case, setting: Setting, record: Record) -> dict[str, Built]:
    """The contestants of a case, each measure called once, without those that fail."""

    def started(contestant: Contestant) -> Built:
        built = contestant.build(setting)
        for name in case.measures:
            built.calls[name]()
        return built

    tried = {c.name: attempt(case, c, record, lambda c=c: started(c)) for c in case.contestants}
    return {name: built for name, built in tried.items() if built is not None}


def race(case: Case, ready: Mapping[str, Built], count: int, clock: Clock, record: Record) -> None:
    """The rounds of every measure."""
    for name in case.measures:
        calls = {contestant: built.calls[name] for contestant, built in ready.items()}
        for contestant, samples in rounds(calls, clock, count).items():
            record.times.setdefault((case.name, contestant, name), []).append(samples)


def weigh(module: str, case: Case, setting: Setting, threads: int, record: Record) -> None:
    """The peak of every measure that was timed, each in a process of its own."""
    for contestant in case.contestants:
        for name in case.measures:
            key = (case.name, contestant.name, name)
            if key not in record.times:
                continue
            found = peak_in_fresh_process(module, *key, setting, threads)
            if isinstance(found, str):
                record.unweighed[key] = found
            else:
                record.peaks[key] = found


def attempt(case: Case, contestant: Contestant, record: Record, make: Callable[[], T]) -> T | None:
    """What `make` returns; what goes wrong is a fact about the contestant, and the others go on."""
    if (case.name, contestant.name) in record.troubles:
        return None
    try:
        return make()
    except MissingPeer as error:
        record.troubles[case.name, contestant.name] = str(error)
    except Exception as error:
        reason = (str(error).strip() or "no reason given").splitlines()[0]
        record.troubles[case.name, contestant.name] = f"{type(error).__name__}: {reason}"
    finally:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return None
