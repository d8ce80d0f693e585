"""The checks behind the evidence: each passes on the right object and fails on a wrong twin."""

import numpy as np
import pytest
import sympy
from scipy import stats

from nlmodel.errors import ConvergenceError, DomainError, ShapeError
from validation import at_least, at_most, checks, close, within
from validation.outcome import Outcome, ranged, show


STEPS = 0.5 ** np.arange(5)


@pytest.mark.parametrize("expected", [1, 2, 4])
def test_order_of_a_power(expected):
    assert checks.order(STEPS, 3 * STEPS**expected, expected).passed
    assert checks.order(STEPS, 3 * STEPS**expected, expected + 1).failed


def test_order_sees_a_slope_that_the_fit_hides():
    kinked = STEPS**2 * np.array([1.0, 1.0, 1.2, 1.0, 1.0])
    outcome = checks.order(STEPS, kinked, 2)
    assert outcome.failed
    assert abs(outcome.measured - 2) > checks.LOCAL_SLOPE


def test_order_needs_four_refinements():
    with pytest.raises(DomainError, match="4 refinements"):
        checks.order(STEPS[:4], STEPS[:4], 1)


@pytest.mark.parametrize("errors", [np.zeros(5), -STEPS, np.full(5, np.nan)])
def test_order_needs_positive_errors(errors):
    with pytest.raises(DomainError, match="positive"):
        checks.order(STEPS, errors, 1)


x, n = sympy.Symbol("x", positive=True), sympy.Symbol("n", integer=True, positive=True)


@pytest.mark.parametrize(
    ("lhs", "rhs", "wrong"),
    [
        (sympy.sin(x) ** 2 + sympy.cos(x) ** 2, 1, sympy.sin(x) ** 2),
        (sympy.sqrt(x**2), x, -x),
        (sympy.cos(2 * sympy.pi * n), 1, sympy.cos(sympy.pi * n / 2)),
        (sympy.Matrix([[x, 1], [0, x]]) ** 2, sympy.Matrix([[x**2, 2 * x], [0, x**2]]), sympy.eye(2)),
    ],
)
def test_identity(lhs, rhs, wrong):
    outcome = checks.identity(lhs, rhs)
    assert outcome.passed
    assert "simplifies to zero" in outcome.detail
    assert checks.identity(wrong, rhs).failed


def test_identity_respects_the_domain():
    y = sympy.Symbol("y")
    assert checks.identity(sympy.sqrt(y**2), y, domain={y: (1, 2)}, simplify=lambda d: d.subs(y, sympy.Abs(y))).passed
    assert checks.identity(sympy.sqrt(y**2), y).failed


def test_identity_says_when_nothing_has_been_shown():
    with pytest.raises(ConvergenceError, match="does not simplify"):
        checks.identity(sympy.cos(x) ** 2, 1 - sympy.sin(x) ** 2, simplify=lambda difference: difference)


def test_identity_needs_equal_shapes():
    with pytest.raises(ShapeError, match="one shape"):
        checks.identity(sympy.eye(2), sympy.eye(3))


def test_statistic_of_one_number(rng):
    sample = rng.normal(3.0, 1.0, size=4000)
    assert checks.statistic(sample, 3.0, 0.999).passed
    assert checks.statistic(sample + 0.2, 3.0, 0.999).failed


def test_statistic_of_several_numbers(rng):
    sample = rng.multinomial(1, [0.2, 0.3, 0.5], size=4000)
    assert checks.statistic(sample, [0.2, 0.3, 0.5], 0.999).passed
    assert checks.statistic(sample, [0.3, 0.2, 0.5], 0.999).failed


def test_statistic_covers_as_often_as_it_says(rng):
    runs, n = 500, 50
    covered = sum(checks.statistic(rng.normal(size=n), 0.0, 0.9).passed for _ in range(runs)) / runs
    p = 2 * stats.t.cdf(stats.norm.ppf(0.95), df=n - 1) - 1  # the interval takes Student's t for normal
    assert abs(covered - p) < 4 * np.sqrt(p * (1 - p) / runs)


@pytest.mark.parametrize(
    ("sample", "expected", "error", "message"),
    [
        (np.ones(10), 1.0, ShapeError, "at least 30 draws"),
        (np.ones((50, 2)), [1.0, 1.0, 1.0], ShapeError, "shape of expected"),
        (np.ones(50), 1.0, DomainError, "without spread"),
    ],
)
def test_statistic_refuses(sample, expected, error, message):
    with pytest.raises(error, match=message):
        checks.statistic(sample, expected, 0.999)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ranged(1.0, None, None), DomainError, "a check needs a bound"),
        (lambda: at_most(1.0, np.inf), DomainError, "cannot fail"),
        (lambda: at_least(1.0, -np.inf), DomainError, "cannot fail"),
        (lambda: at_most(1.0, np.nan), DomainError, "low <= high"),
        (lambda: within(1.0, 2.0, 1.0), DomainError, "low <= high"),
        (lambda: at_most(np.ones(2), 1.0), ShapeError, "one real number"),
        (lambda: at_most(1j, 1.0), ShapeError, "one real number"),
        (lambda: close(np.ones(2), np.ones(3), 1.0), ShapeError, "one non-empty shape"),
        (lambda: close(np.ones(2), np.ones(1), 1.0), ShapeError, "one non-empty shape"),
        (lambda: close(np.ones(0), np.ones(0), 1.0), ShapeError, "one non-empty shape"),
    ],
)
def test_a_check_that_cannot_fail_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_nan_neither_passes_nor_fails():
    outcome = Outcome(np.nan, high=1.0)
    assert not outcome.passed
    assert not outcome.failed
    assert not close(np.array([np.nan]), np.array([1.0]), 1.0).passed


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.5, "0.5"),
        (-1.5, "−1.5"),
        (12345.678, "12346"),
        (3.83e-16, "3.83·10⁻¹⁶"),
        (-2e7, "−2·10⁷"),
        (1e-12, "10⁻¹²"),
        (np.inf, "∞"),
        (-np.inf, "−∞"),
        (np.nan, "not a number"),
    ],
)
def test_numbers_for_people(value, text):
    assert show(value) == text


def test_ranges_for_people():
    assert [o.range for o in (at_most(0, 1e-12), at_least(0, 0.5), within(0, 1, 2), within(0, 1, 1))] == [
        "≤ 10⁻¹²",
        "≥ 0.5",
        "∈ [1, 2]",
        "= 1",
    ]
