"""Memory: a planted allocation is seen, data are not counted, in this process and in one of its own."""

import dataclasses
import time

import pytest

from benchmarks.case import FORWARD, Built, Contestant, Setting
from benchmarks.cold import cold_start
from benchmarks.fresh import Task
from benchmarks.memory import peak, peak_in_fresh_process
from benchmarks.record import Record
from benchmarks.run import weigh
from tests.benchmarks.bench_cases import MEMORY, PLANTED, WORKLOAD, allocating, failing, sparing


FEW = 4 * 2**20
MODULE = "tests.benchmarks.bench_cases"


def check_seen(count: int) -> None:
    assert PLANTED - FEW <= count <= PLANTED + FEW


@pytest.mark.parametrize("compiles", [False, True])
def test_a_planted_allocation_is_seen_here(compiles):
    check_seen(peak(Contestant("allocating", allocating, compiles=compiles), FORWARD, Setting()))
    assert peak(Contestant("sparing", sparing, compiles=compiles), FORWARD, Setting()) <= FEW  # control: only data


def test_a_planted_allocation_is_seen_in_a_fresh_process():
    record = Record(times={(MEMORY, name, FORWARD): [[1.0]] for name in ("allocating", "sparing")})
    weigh(MODULE, dataclasses.replace(WORKLOAD.cases[0], cold=(FORWARD,)), Setting(), 1, record)
    check_seen(record.peaks[MEMORY, "allocating", FORWARD])
    assert record.peaks[MEMORY, "sparing", FORWARD] <= FEW
    assert record.unweighed == record.warm == {}
    assert set(record.cold) == set(record.peaks)
    assert min(record.cold.values()) > 0


def test_a_process_that_fails_tells_why():
    assert peak_in_fresh_process(Task("tests.benchmarks.nowhere", MEMORY, "a", FORWARD, Setting(), 1)) == (
        "its memory could not be measured: ModuleNotFoundError: No module named 'tests.benchmarks.nowhere'"
    )
    with pytest.raises(RuntimeError):
        peak(Contestant("failing", failing), FORWARD, Setting())


def test_a_cold_start_is_building_and_the_first_call():
    pause = 0.02

    def build(setting: Setting) -> Built:
        time.sleep(pause)
        return Built({FORWARD: lambda: time.sleep(pause)}, dict)

    assert cold_start(Contestant("slow", build), FORWARD, Setting()) >= 2 * pause
    assert cold_start(Contestant("sparing", sparing), FORWARD, Setting()) > 0
