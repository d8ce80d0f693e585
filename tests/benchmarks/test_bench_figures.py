"""Figures: met, missed, not measured; and the exit status of the command."""

import dataclasses

import pytest

from benchmarks.case import FORWARD, Contestant, Work
from benchmarks.cli import main
from benchmarks.figures import (
    IDLE,
    MET,
    MISSED,
    UNMEASURED,
    Bytes,
    Limit,
    Verdict,
    accurate,
    cold,
    exit_status,
    judge,
    timed,
    weighed,
)  # fmt: skip
from benchmarks.record import Record
from tests.benchmarks.bench_cases import MEMORY, RACE, Ticking, absent, contestant, failing, workload


PEER = contestant("peer", 1.0)
FIGURE = timed(RACE, FORWARD, "ours", "peer", 0.5, 0.3)


def ours(seconds, **more):
    return contestant("ours", seconds, same_as="peer", **more)


@pytest.fixture
def bench(tmp_path, capsys):
    """Runs the command on one race; returns the exit status and the last line."""

    def run(*contestants, words=(), figures=(), **more):
        line = ["nn", "--runs", "1", "--no-memory", "--out", str(tmp_path), *words]
        status = main(line, [workload(*contestants, *figures, **more)], Ticking())
        return status, capsys.readouterr().out.splitlines()[-1]

    return run


@pytest.mark.parametrize(
    ("seconds", "status", "beginning", "end"),
    [
        (0.25, 0, "met: W0 race, forward, time of ours: 0.250 <= 0.5 of the time of peer", "goal 0.3 reached"),
        (0.5, 0, "met: W0 race, forward, time of ours: 0.500 <= 0.5", "goal 0.3 not reached"),
        (0.75, 1, "missed: W0 race, forward, time of ours: 0.750 > 0.5", "goal 0.3 not reached"),
    ],
)
def test_the_ratio_decides(bench, seconds, status, beginning, end):
    found, line = bench(ours(seconds), PEER)
    assert found == status
    assert line.startswith(beginning)
    assert f"{end}, middle half of the rounds {seconds:.3f} to {seconds:.3f}" in line


def test_one_who_computes_something_else_has_missed(bench):
    status, line = bench(ours(0.25, value=1.125), PEER)
    assert status == 1
    assert line == (
        "missed: W0 race, forward, time of ours: ours and peer differ in the output by 1.2e-01, not 1.0e-12 (float64)"
    )


def test_a_missing_peer_is_named_and_is_not_a_success(bench):
    status, line = bench(ours(0.25), Contestant("peer", absent))
    assert (status, line) == (3, "could not be measured: W0 race, forward, time of ours: rival is not installed")


def test_a_peer_that_fails_is_told(bench):
    status, line = bench(ours(0.25), Contestant("peer", failing))
    assert (status, line) == (
        3,
        "could not be measured: W0 race, forward, time of ours: RuntimeError: out of luck",
    )


def test_ours_failing_is_a_miss(bench):
    status, line = bench(Contestant("ours", failing, same_as="peer"), PEER)
    assert (status, line) == (1, "missed: W0 race, forward, time of ours: RuntimeError: out of luck")


def test_what_a_machine_cannot_show_is_not_held_against_it(bench):
    status, line = bench(ours(0.75), PEER, idle=lambda device: f"a {device} has none")
    assert (status, line) == (0, "not applicable: W0 race, forward, time of ours: a cpu has none")


def test_tiny_sizes_judge_agreement_only(bench):
    assert bench(ours(0.75), PEER, words=["--quick"]) == (0, "tiny sizes: no figure is judged")
    status, line = bench(ours(0.25, value=1.125), PEER, words=["--quick"])
    assert status == 1
    assert line.startswith("missed: W0 race: ours and peer differ")


@pytest.mark.parametrize(
    "words", [["--rounds", "4"], ["--runs", "0"], ["--threads", "0"], ["--device", "tpu"], ["else"]]
)
def test_bad_arguments_are_refused(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["nn", *words] if words != ["else"] else words, [])
    assert stopped.value.code == 2
    assert "error:" in capsys.readouterr().err


def record(**peaks):
    filled = Record()
    filled.peaks = {(MEMORY, name, FORWARD): count for name, count in peaks.items()}
    return filled


def test_peaks_are_held_against_a_peer_or_a_number():
    beside, against = weighed(MEMORY, FORWARD, "a", "b", 0.5), weighed(MEMORY, FORWARD, "a", Bytes("16 B", 16), 0.5)
    for peaks, status in (({"a": 8, "b": 16}, MET), ({"a": 9, "b": 16}, MISSED)):
        assert judge(beside, record(**peaks)).status == judge(against, record(**peaks)).status == status
    assert judge(beside, record(a=8)).status == UNMEASURED
    unweighed = record(a=8)
    unweighed.unweighed[MEMORY, "a", FORWARD] = "killed"
    assert judge(against, unweighed) == Verdict(against, MISSED, "killed")


def test_times_of_one_case_do_not_depend_on_its_memory():
    filled = Record(times={(RACE, name, FORWARD): [[1.0]] for name in ("ours", "peer")})
    filled.unweighed[RACE, "ours", FORWARD] = "killed"
    assert judge(dataclasses.replace(FIGURE, must=1.0), filled).status == MET


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        ([], 0),
        ([MET, IDLE], 0),
        ([MET, UNMEASURED], 3),
        ([UNMEASURED, MISSED, MET], 1),
    ],
)
def test_exit_status(statuses, status):
    assert exit_status([Verdict(FIGURE, s) for s in statuses]) == status


@pytest.mark.parametrize(("seconds", "status"), [(0.25, MET), (0.75, MISSED)])
def test_the_fastest_of_several_peers_counts(seconds, status):
    figure = timed(RACE, FORWARD, "ours", ("slow", "quick", "absent"), 0.5)
    times = {"ours": seconds, "slow": 2.0, "quick": 1.0}
    filled = Record(times={(RACE, name, FORWARD): [[time]] for name, time in times.items()})
    filled.troubles[RACE, "absent"] = "absent is not installed"
    assert (judge(figure, filled).status, judge(figure, filled).ratio) == (status, seconds)
    assert figure.beside == "the fastest of slow, quick, absent"
    for name in ("slow", "quick"):
        filled.troubles[RACE, name] = f"{name} fails"
    assert judge(figure, filled).reason == "slow fails"
    assert judge(figure, filled).status == UNMEASURED


def test_times_are_held_against_the_limit_of_the_machine():
    figure = timed(RACE, FORWARD, "ours", Limit("the limit", Work(6.0, 1.0)), 1 / 0.6)
    for seconds, status in ((1.0, MET), (1.1, MISSED)):
        filled = Record({"float32 products": 10.0, "copy": 10.0}, times={(RACE, "ours", FORWARD): [[seconds]]})
        assert judge(figure, filled).status == status
        filled.ceilings = {}
        assert judge(figure, filled).status == UNMEASURED


@pytest.mark.parametrize(
    ("figure", "numbers"),
    [(cold(RACE, FORWARD, "ours", 10), "cold"), (accurate(RACE, FORWARD, "ours", 10.0), "errors")],
)
def test_cold_starts_and_errors_are_held_against_a_bound(figure, numbers):
    for number, status in ((10.0, MET), (11.0, MISSED)):
        filled = Record(**{numbers: {(RACE, "ours", FORWARD): number}})
        assert judge(figure, filled).status == status
    assert judge(figure, Record()).status == UNMEASURED
    assert judge(figure, Record(troubles={(RACE, "ours"): "fails"})).status == MISSED


def test_errors_are_held_against_a_peer(bench):
    figure = accurate(RACE, FORWARD, "ours", "peer", 1.5)
    for error, status, sign in ((1.5, 0, "<="), (1.75, 1, ">")):
        found = bench(contestant("ours", 0.25, error=error), contestant("peer", 1.0, error=1.0), figures=(figure,))
        line = f"W0 race, forward, error of ours: {error:.3f} {sign} 1.5 of the error of peer"
        assert (found[0], found[1].split(": ", 1)[1]) == (status, line)
