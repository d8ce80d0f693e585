"""Operators shared out among processes: the law suite, gradients, memory, errors, lost processes."""

import re

import pytest

from tests.distributed import work
from tests.distributed.spawn import run
from tests.operators.test_operator_laws import LAWS


@pytest.mark.parametrize("count", [2, 4])
def test_every_law_holds(count):
    for broken, spoken in run(count, work.law_suite):
        assert broken == []
        assert set(spoken) == {law.__name__ for law in LAWS} and min(spoken.values()) >= len(work.CASES[count]) // 2


EXPECTED = {
    "none": set(),
    "own part only": {"equals_the_dense_definition", "constants_are_steady", "weighted_mean_is_conserved"},
    "own part repeated": {"equals_the_dense_definition", "constants_are_steady", "symmetrized_has_the_spectrum_of_K"},
    "own sums only": {"weighted_mean_is_conserved", "energy_is_the_sum_of_squared_differences"},
    "transpose forgotten": {"equals_the_dense_definition", "transpose_is_the_adjoint"},
}


def test_mistakes_of_distribution_break_the_laws():
    for found in run(2, work.laws_against_mistakes):
        assert found["none"] == set()
        for words, caught_by in EXPECTED.items():
            assert caught_by <= found[words], words


def test_gradients_are_those_of_one_process():
    for gaps in run(3, work.gradient_gaps):
        assert len(gaps) == 12 and max(gaps.values()) <= 1, gaps


def test_gradients_that_do_not_come_home_are_seen():
    for gaps in run(2, work.gradient_gaps, True):
        assert all(gap > 1e3 for name, gap in gaps.items() if not name.startswith("weights")), gaps


@pytest.mark.parametrize("count", [1, 2, 4])
def test_memory_is_a_part_and_a_tile_and_the_ring_carries_what_is_said(count):
    m, D, C = 80 // count, 2, 3
    part, sums = m * (D + 1 + C), m * (D + C)  # points, scaling and field; the gradients on the way home
    for found in run(count, work.traffic):
        assert found["tile"] == 10 * 10
        assert found["forward"] == (count - 1) * part
        assert found["backward"] == (count - 1) * part + (count * sums if count > 1 else 0)
        assert found["most at once"] == (part if count > 1 else 0)


SHARED = {
    "NaN": "NonFiniteError: Z must be finite",
    "choice": "ChoiceError: normalize must be one of",
    "row sum": "NormalizationError: every row sum of the affinity must be positive: got row 0",
    "within a turn": "ZeroDivisionError: a mistake of the user",
}
AGREED = {
    "channels": "the same channels: got 3, 2",
    "dimensions": "the same dimensions: got 2, 1",
    "requires_grad": "the same requires_grad: got 0, 1",
    "normalize": "the same normalize: got 1, 0",
    "precision": "the same precision: got 64, 32",
    "features": "the same features: got 2, 1",
}


def test_an_error_in_one_process_is_an_error_in_all():
    other, culprit = run(2, work.errors_in_one)
    assert set(culprit) == {*SHARED, *AGREED, "afterwards"}
    for words, expected in SHARED.items():
        assert culprit[words].startswith(expected)
        told = re.escape(expected.split(": ", 1)[1])
        assert re.match(rf"ProcessError: another process could not go on: got process 1: {told}", other[words])
    for words, expected in AGREED.items():
        for found in (culprit, other):
            assert found[words].startswith(f"DomainError: every process must have {expected.replace('_', ' ')}")
    assert other["afterwards"] == culprit["afterwards"] == "(6, 3)"


def test_a_killed_process_ends_the_run_at_once():
    left, killed = run(2, work.lost_contact, "killed", 20.0)
    assert killed is None
    words, seconds = left
    assert words.startswith("ProcessError: the processes lost contact") and "first error in the output" in words
    assert seconds < 10  # long before the time-out: its connection is closed


def test_a_silent_process_ends_the_run_at_the_time_out():
    ((words, seconds),) = run(2, work.lost_contact, "silent", 1.5, asked=1)
    assert words.startswith("ProcessError: the processes lost contact") and "within the time-out" in words
    assert 1.4 < seconds < 10


def test_processes_that_stay_lose_nothing():
    assert [words for words, _ in run(2, work.lost_contact, "well", 20.0)] == ["nothing", "nothing"]
