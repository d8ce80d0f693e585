"""A run: for every case agreement first, then the rounds, then what fresh processes tell: memory and cold start."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeVar

import torch

from benchmarks.agreement import Agreement, agreement, gap
from benchmarks.case import Built, Case, Contestant, Setting
from benchmarks.cold import cold_start_in_fresh_process
from benchmarks.fresh import Task
from benchmarks.machine import ceilings
from benchmarks.memory import peak_in_fresh_process
from benchmarks.peers import MissingPeer
from benchmarks.record import Key, Record
from benchmarks.timing import Clock, rounds
from benchmarks.workload import Workload


T = TypeVar("T")

FEW = 3  # images, or the small size of a workload without images, on which values are compared first
AS_TIMED = "as timed"


@dataclass(frozen=True)
class Amount:
    """How much is measured: `runs` times through all cases with `count` rounds each, on so many threads.

    `memory` and `limits` tell whether fresh processes and the ceilings of the machine are measured too.
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
    timed = replace(setting, precision=case.precision)

    @cache  # one contestant is what several are compared with
    def values(contestant: Contestant, where: Setting) -> Mapping[str, Any] | None:
        return attempt(case, contestant, record, lambda: contestant.build(where).values())

    found = []
    for ours in case.contestants:
        if ours.same_as is None:
            continue
        theirs, own, pairs = case.contestant(ours.same_as), {}, []
        if ours.within is None:
            kinds = ("float64",) if case.precision == "float64" else ("float64", "float32")
            few = [(kind, values(theirs, setting.on(FEW, kind))) for kind in kinds]
            if any(value is None for _, value in few):
                continue
            exact, rounded = few[0][1] or {}, few[-1][1] or {}
            own = {name: gap(rounded.get(name), value) for name, value in exact.items()}
            pairs = [(kind, exact, own if kind == "float32" else {}) for kind in kinds if not ours.compiles]
        for kind, wanted, floor in pairs:
            if (given := values(ours, setting.on(FEW, kind))) is not None:
                found.append(agreement(case.name, ours, kind, given, wanted, floor))
        given, wanted = values(ours, timed), values(theirs, timed)
        if given is not None and wanted is not None:
            how = f"{case.precision}, {AS_TIMED}"
            found.append(agreement(case.name, ours, how, given, wanted, own))
    return found


def prepare(case: Case, setting: Setting, record: Record) -> dict[str, Built]:
    """The contestants of a case, each measure called once, without those that fail."""

    def started(contestant: Contestant) -> Built:
        built = contestant.build(replace(setting, precision=case.precision))
        for name in case.measures:
            built.calls[name]()
        found = {(case.name, contestant.name, name): error() for name, error in built.errors.items()}
        record.errors.update(found)
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
    """The peak of every measure that was timed, and the cold start where it is wanted, each in its own process."""
    where = replace(setting, precision=case.precision)
    keys = [(case.name, c.name, name) for c in case.contestants for name in case.measures]
    for key in (key for key in keys if key in record.times):
        task = Task(module, *key, where, threads)
        keep(peak_in_fresh_process(task), key, record.peaks, record.unweighed)
        if key[2] in case.cold:
            keep(cold_start_in_fresh_process(task), key, record.cold, record.warm)


def keep(found: T | str, key: Key, numbers: dict[Key, T], reasons: dict[Key, str]) -> None:
    """Note a number among the numbers, or why there is none among the reasons."""
    if isinstance(found, str):
        reasons[key] = found
    else:
        numbers[key] = found


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
