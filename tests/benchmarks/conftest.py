"""For all tests of the benchmarks: the ceilings of the machine from sizes that take no time."""

import pytest

from benchmarks import machine


@pytest.fixture(autouse=True)
def small_ceilings(monkeypatch):
    """No test is about how fast this machine is."""
    monkeypatch.setattr(machine, "SIDES", {"cpu": 8})
    monkeypatch.setattr(machine, "NUMBERS", {"cpu": 64})
    monkeypatch.setattr(machine, "CACHED", 64)
