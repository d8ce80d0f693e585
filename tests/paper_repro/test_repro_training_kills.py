"""Runs that are killed, and runs of several processes."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nlmodel.testing import assert_close
from paper_repro.training import load_result
from paper_repro.training.group import Group
from tests.paper_repro.training_cases import TINY, folder_of


KILLED = -9


@pytest.fixture(scope="module")
def driven(tmp_path_factory):
    """The folder of all runs, and what the driver tells of how they ended."""
    out = tmp_path_factory.mktemp("driven")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    driver = Path(__file__).with_name("training_driver.py")
    done = subprocess.run(
        [sys.executable, str(driver), str(out)], capture_output=True, text=True, timeout=500, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    print(done.stderr[-3000:])  # of the children, for the reader of a failure
    return out, json.loads(done.stdout.splitlines()[-1])


def test_a_run_killed_anywhere_ends_with_the_same_bytes(driven):
    _, found = driven
    kills, ends = found["kills"], found["kills"]["ends"]
    assert [ends.pop(name) for name in ("alone", "last")] == [0, 0]
    assert len(ends) == 12 and set(ends.values()) == {KILLED}, ends
    assert kills["killed"] == kills["straight"]
    assert kills["left over"] == []


def test_a_worker_that_stood_still_leaves_its_run_to_the_one_that_took_it_over(driven):
    _, found = driven
    told, careless = found["asleep"]["guarded"], found["asleep"]["unguarded"]
    assert told["ends"] == [0, 0] and told["result untouched"] and told["same"] and told["locks"] == []
    assert told["finished"] == [] and "taken over by another worker" in told["failed"][0][1]
    assert careless["finished"] and not careless["result untouched"]  # control: without a look it writes over it


def test_memory_stays_with_the_process_in_its_context(driven):
    _, found = driven
    inside, outside = found["memory"]["inside"], found["memory"]["outside"]  # outside is the control
    assert (2 * inside < outside) == (platform.libc_ver()[0] == "glibc")


def test_two_processes_agree_and_one_of_them_writes(driven):
    out, found = driven
    assert found["group"]["ends"] == [0, 0, 0]
    first, second = (load(out / "group" / f"rank{k}.pt") for k in range(2))
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    result = load_result(folder_of(TINY.with_(epochs=1), out / "group"))
    assert result is not None and (result.status, result.processes) == ("finished", 2)


def test_two_processes_take_the_steps_of_one_up_to_rounding(driven):
    out, _ = driven
    first, alone, lone = (load(out / "group" / f"{name}.pt") for name in ("rank0", "alone", "half"))
    check_same_steps(first, alone)
    with pytest.raises(AssertionError):  # control: a process that keeps its gradients to itself
        check_same_steps(lone, alone)


def check_same_steps(actual: dict, expected: dict) -> None:
    for name, wanted in expected.items():
        if wanted.is_floating_point() and name != "totals":  # which is a sum of float32 numbers in float64
            scale = max(1.0, float(wanted.abs().max()))
            assert_close(actual[name].contiguous(), wanted.contiguous(), "reduction", n=64, scale=scale)


def load(path: Path) -> dict:
    return torch.load(path, weights_only=True)


def test_a_process_whose_partner_is_killed_ends_with_an_error(driven):
    _, found = driven
    told = found["widow"]
    assert told["killed"] == KILLED and told["other"] == 1 and told["seconds"] < 60, told


def test_a_batch_needs_an_image_for_each_process():
    Group(0, 2).check_batches(20, 8)
    with pytest.raises(ValueError, match="a batch of 1 for 2 processes"):
        Group(0, 2).check_batches(17, 16)
