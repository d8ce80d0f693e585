"""Rounds: who is called when, and how the ratio comes about."""

from statistics import median

import pytest

from benchmarks.record import Record
from benchmarks.timing import LEAST, MOST, WallClock, clock_of, rounds
from tests.benchmarks.bench_cases import Ticking, contestant


SLOW = 2 * LEAST


def calls(**seconds):
    from benchmarks.case import FORWARD, Setting

    return {name: contestant(name, *s).build(Setting()).calls[FORWARD] for name, s in seconds.items()}


def test_contestants_take_turns():
    clock = Ticking()
    samples = rounds(calls(ours=[SLOW], peer=[SLOW]), clock, 3)
    assert clock.order == ["ours", "peer"] * 4  # one round that does not count
    assert clock.order != ["ours"] * 4 + ["peer"] * 4  # control: not one after the other
    assert samples == {"ours": [SLOW] * 3, "peer": [SLOW] * 3}


def test_short_calls_are_repeated_until_the_sample_is_long_enough():
    clock = Ticking()
    rounds(calls(short=[LEAST / 4], tiny=[LEAST / 1e6], long=[SLOW]), clock, 1)
    assert [clock.order.count(name) for name in ("short", "tiny", "long")] == [1 + 4, 1 + MOST, 1 + 1]


def test_the_ratio_is_taken_within_a_round():
    """A machine that is eight times slower in some rounds changes the ratio of medians, and no ratio of a round."""
    record = Record()
    record.times["case", "ours", "m"] = [[1.0, 8.0, 8.0], [1.0, 1.0, 8.0]]
    record.times["case", "peer", "m"] = [[2.0, 16.0, 2.0], [2.0, 2.0, 16.0]]
    ours, peer = ("case", "ours", "m"), ("case", "peer", "m")
    assert record.ratios(ours, peer) == [[0.5, 0.5, 4.0], [0.5, 0.5, 0.5]]
    assert record.ratio(ours, peer) == 0.5
    assert median(record.times[ours][0]) / median(record.times[peer][0]) == 4.0  # control: what it would be else
    assert record.ratio(ours, ("case", "nobody", "m")) is None


def test_the_median_runs_over_the_runs():
    record = Record()
    record.times["case", "ours", "m"] = [[1.0] * 5, [3.0] * 5, [2.0] * 5]
    record.times["case", "peer", "m"] = [[1.0] * 5] * 3
    assert record.ratio(("case", "ours", "m"), ("case", "peer", "m")) == 2.0
    assert record.seconds(("case", "ours", "m")) == 2.0


def test_the_wall_clock_averages_over_calls():
    done = []
    assert WallClock().seconds(lambda: done.append(1), 5) > 0
    assert len(done) == 5
    assert isinstance(clock_of("cpu"), WallClock)
    assert not isinstance(clock_of("cuda"), WallClock)


@pytest.mark.parametrize("enabled", [True, False])
def test_garbage_collection_is_as_it_was(enabled):
    import gc

    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with pytest.raises(ZeroDivisionError):
            rounds({"bad": lambda: 1 / 0}, WallClock(), 1)
        rounds(calls(ours=[SLOW]), Ticking(), 1)
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()
