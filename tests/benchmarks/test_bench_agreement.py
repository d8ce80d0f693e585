"""Agreement: what counts as the same values."""

import math

import numpy as np
import pytest
import torch

from benchmarks.agreement import GRADIENT, OUTPUT, SLACK, agreement, gap
from benchmarks.case import Contestant, Setting
from benchmarks.record import Record
from benchmarks.run import AS_TIMED, compare
from tests.benchmarks.bench_cases import RACE, contestant, workload


ONE = np.array([1.0, -4.0])


def test_gap_is_relative_to_the_largest_value():
    assert gap(ONE, ONE) == 0.0
    assert gap(ONE + np.array([2.0, 0.0]), ONE) == 0.5
    assert gap(torch.tensor([3.0, -4.0], requires_grad=True), torch.tensor([1.0, -4.0])) == 0.5
    assert gap(np.zeros(2), np.zeros(2)) == 0.0


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (ONE, None),
        (None, ONE),
        (ONE, ONE[:1]),
        (ONE * np.nan, ONE),
        (ONE, ONE * np.inf),
        (np.ones(1), np.zeros(1)),
    ],
)
def test_what_cannot_be_compared_is_apart(ours, theirs):
    assert gap(ours, theirs) == math.inf


def found(how, error, floor=None, **more):
    ours = Contestant("ours", lambda setting: None, same_as="peer", **more)  # pyright: ignore[reportArgumentType]
    return agreement("case", ours, how, {"output": np.ones(2) * (1 + error)}, {"output": np.ones(2)}, floor or {})


def test_bounds_follow_the_precision_and_the_peers_own_rounding():
    for how, precision in (("float64", "float64"), ("float32", "float32"), (f"float32, {AS_TIMED}", "float32")):
        bound = OUTPUT[precision]
        assert found(how, bound / 2).holds
        assert not found(how, 2 * bound).holds
    assert GRADIENT["float32"] > OUTPUT["float32"]
    assert found("float32", 1e-4, {"output": 1e-4 / 2}).holds
    assert not found("float32", 1e-4, {"output": 1e-4 / (2 * SLACK)}).holds
    assert found("float32", 1e-3, within=1e-2).holds


def test_a_missing_gradient_is_a_disagreement():
    ours = Contestant("ours", lambda setting: None, same_as="peer")  # pyright: ignore[reportArgumentType]
    made = agreement("case", ours, "float64", {"output": ONE}, {"output": ONE, "gradient of the input": ONE}, {})
    assert not made.holds
    assert "gradient of the input" in repr(made)


def test_values_are_compared_in_both_precisions_and_as_timed():
    (case,) = workload(contestant("ours", same_as="peer"), contestant("peer")).cases
    made = compare(case, Setting(), Record())
    assert [a.how for a in made] == ["float64", "float32", f"float32, {AS_TIMED}"]
    assert all(a.holds and a.case == RACE for a in made)
    (wrong,) = workload(contestant("ours", value=1.25, same_as="peer"), contestant("peer")).cases
    assert not any(a.holds for a in compare(wrong, Setting(), Record()))  # control


@pytest.mark.parametrize("more", [{"within": 0.5}, {"compiles": True}])
def test_low_precision_and_compiled_ones_are_compared_as_timed(more):
    (case,) = workload(contestant("ours", same_as="peer", **more), contestant("peer")).cases
    assert [a.how for a in compare(case, Setting(), Record())] == [f"float32, {AS_TIMED}"]


def test_what_is_timed_in_double_precision_is_compared_in_double_precision():
    (case,) = workload(contestant("ours", same_as="peer"), contestant("peer"), precision="float64").cases
    assert [a.how for a in compare(case, Setting(), Record())] == ["float64", f"float64, {AS_TIMED}"]
