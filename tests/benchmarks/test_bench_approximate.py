"""W1 with a tolerance: both contestants compute the same, and a wrong one is found out."""

import pytest

from benchmarks.case import FORWARD, Setting
from benchmarks.record import Record
from benchmarks.run import compare, prepare
from benchmarks.workloads import approximate
from nlmodel.kernels import Gaussian


TINY = Setting(quick=True)
CASES = approximate.WORKLOAD.cases


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_agreement_and_error(case):
    record = Record()
    found = compare(case, TINY, record)
    assert [a.holds for a in found] == [True]
    assert set(prepare(case, TINY, record)) == {"ours", "finufft"} and record.troubles == {}
    assert record.errors[case.name, "ours", FORWARD] <= approximate.TOLERANCES[case.precision]


def test_another_scale_is_found_out(monkeypatch):
    """Control: ours with a kernel that is twice as wide."""
    build = approximate.NufftAffinity.build
    wide = Gaussian(2 * approximate.SCALE)
    monkeypatch.setattr(approximate.NufftAffinity, "build", lambda X, kernel, tol: build(X, wide, tol))
    record = Record()
    prepare(CASES[0], TINY, record)
    assert record.errors[CASES[0].name, "ours", FORWARD] > approximate.TOLERANCES[CASES[0].precision]


def test_figures_are_about_what_is_measured():
    there = {(c.name, one.name, m) for c in CASES for one in c.contestants for m in c.measures}
    figures = approximate.WORKLOAD.figures
    assert all(figure.of.key in there for figure in figures)
    assert len({f.name + f.beside for f in figures}) == len(figures) == 2 * (2 * 4 + 1)
    assert {f.must for f in figures if f.beside == "finufft"} == {1.1}
