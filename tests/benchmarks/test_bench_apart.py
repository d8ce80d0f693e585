"""A process of one's own: it is called once a request, sleeps in between, tells what went wrong, and ends."""

import os
import threading
import time
from contextlib import contextmanager
from functools import partial
from multiprocessing import active_children
from pathlib import Path

import pytest
import torch

from benchmarks.apart import Apart, apart
from benchmarks.case import FORWARD, Built, Case, Contestant, Setting
from benchmarks.fresh import Task
from benchmarks.memory import peak_in_fresh_process
from benchmarks.workload import Workload
from tests.benchmarks.bench_cases import MEMORY, PLANTED, allocating


FEW = PLANTED // 16
BUSY, LONG = 0.1, 60.0  # seconds
MODULE = "tests.benchmarks.test_bench_apart"


@contextmanager
def noting(file, spin=False):
    """Notes the process, its threads, and in which its settings end; then fails."""
    text = file.read_text

    def call():
        if text().count("\n") == 2:
            raise ValueError("out of luck")
        torch.ones(300, 300) @ torch.ones(300, 300)
        if spin:
            threading.Thread(target=forever, daemon=True).start()
        with file.open("a") as lines:
            lines.write(f"{os.getpid()} {torch.get_num_threads()}\n")

    try:
        yield call
    finally:
        with file.open("a") as lines:
            lines.write("left\n")


def forever():
    while True:
        pass


@contextmanager
def planted():
    """The planted allocation."""
    yield allocating(Setting()).calls[FORWARD]


def in_turn(setting: Setting) -> Built:
    """The same, in a process of its own."""
    return Built({FORWARD: apart(planted)}, dict)


WORKLOAD = Workload("W0", "", MODULE, (Case(MEMORY, "", (Contestant("ours", in_turn),), (FORWARD,)),), ())


def seconds_of(pid: int) -> float:
    """Of processor time that a process has used."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def file(tmp_path):
    found = tmp_path / "notes"
    found.touch()
    return found


def computes(pid: int, seconds: float) -> bool:
    """Whether a process uses `BUSY` seconds of processor time while so many pass."""
    before, end = seconds_of(pid), time.perf_counter() + seconds
    while time.perf_counter() < end and seconds_of(pid) < before + BUSY:
        time.sleep(0.01)
    return seconds_of(pid) >= before + BUSY


def test_a_process_is_called_once_a_request_sleeps_and_tells_what_went_wrong(file):
    call = apart(partial(noting, file))
    assert file.read_text() == ""
    assert active_children() == []  # it starts when it is called
    call()
    (child,) = active_children()
    time.sleep(0.1)  # threads that wait actively do so for milliseconds
    assert not computes(child.pid, 0.3)
    call()
    assert file.read_text() == f"{child.pid} {torch.get_num_threads()}\n" * 2
    with pytest.raises(RuntimeError, match=r"^ValueError: out of luck$"):
        call()
    del call
    assert active_children() == []
    assert file.read_text().endswith("left\n")


def test_its_death_is_told(file):
    call = apart(partial(noting, file, spin=True))
    call()
    (child,) = active_children()
    assert computes(child.pid, LONG)  # control: the test above would see a process that does not sleep
    child.kill()
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"^the process of a contestant has ended with exit status -9$"):
            call()
    assert "left" not in file.read_text()  # control


def test_its_memory_is_seen_in_a_process_that_serves_nobody_else():
    found = peak_in_fresh_process(Task(MODULE, MEMORY, "ours", FORWARD, Setting(), torch.get_num_threads()))
    assert isinstance(found, int)
    assert PLANTED - FEW <= found <= PLANTED + FEW
    assert isinstance(apart(planted), Apart)  # control: here it would be the memory of another process
