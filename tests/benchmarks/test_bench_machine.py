"""The machine: what it says of itself, and shares of its ceilings."""

import pytest

from benchmarks import machine
from benchmarks.case import Work
from benchmarks.record import Record
from tests.benchmarks.bench_cases import Ticking


@pytest.mark.parametrize(
    ("flags", "units"),
    [
        ("fpu avx512f avx512_bf16", True),
        ("fpu amx_bf16", True),
        ("fpu avx512f", False),
        ("avx512_bf16x", False),
    ],
)
def test_bf16_units_are_read_from_the_flags(flags, units, monkeypatch):
    monkeypatch.setattr(machine, "_cpuinfo", lambda: ["model name\t: A  Chip", f"flags\t\t: {flags}"])
    assert machine.bf16_units("cpu") is units
    assert machine.processor() == "A  Chip"


def test_a_machine_that_says_nothing_has_a_name(monkeypatch):
    monkeypatch.setattr(machine, "_cpuinfo", lambda: [])
    facts = machine.facts("cpu")
    assert not facts["bf16 units"]
    assert facts["processor"]
    assert machine.name_of(facts | {"processor": "Some (R) CPU @ 2", "threads": 2}) == "some-r-cpu-2-2-threads"
    assert machine.name_of(facts | {"accelerator": "GPU X200", "threads": 2}) == "gpu-x200-2-threads"


def test_the_share_is_that_of_the_nearer_limit():
    ceilings = {"float32 products": 100.0, "copy": 10.0}
    assert machine.share_of_limit(Work(200, 1), 4.0, ceilings) == 0.5
    assert machine.share_of_limit(Work(1, 20), 4.0, ceilings) == 0.5
    assert machine.share_of_limit(Work(200, 40), 4.0, ceilings) == 1.0
    more = ceilings | {"read": 20.0, "float64 products": 50.0, "float64 exponentials": 5.0}
    assert machine.share_of_limit(Work(1, 40, stream="read"), 4.0, more) == 0.5
    assert machine.share_of_limit(Work(50, 1, 5, "float64"), 4.0, more) == 0.5
    assert machine.share_of_limit(None, 4.0, ceilings) is None
    assert machine.share_of_limit(Work(200, 1), 4.0, {}) is None


def test_ceilings_are_the_best_that_was_seen():
    found = machine.ceilings("cpu", Ticking())
    assert found["float32 products"] == 2 * 8**3 / 1e-3
    assert found["copy"] == 2 * found["read"]
    assert found["float64 exponentials"] == found["float32 exponentials"] == machine.CACHED / 1e-3
    record = Record()
    record.reached({"read": 2.0, "copy": 5.0})
    record.reached({"read": 3.0, "copy": 4.0})
    assert record.ceilings == {"read": 3.0, "copy": 5.0}
