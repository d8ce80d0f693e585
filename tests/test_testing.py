"""The helpers that check others: each is shown something wrong that it must refuse."""

import math

import numpy as np
import pytest
import torch

from nlmodel.errors import DomainError, DtypeError, NonFiniteError
from nlmodel.testing import TOLERANCE_KINDS, assert_close, observed_order, tolerance


ONE = np.array([1.0, 2.0])


@pytest.mark.parametrize("kind", TOLERANCE_KINDS)
def test_close_values_pass_and_others_do_not(kind):
    assert_close(ONE, ONE.copy(), kind, n=4)
    off = ONE * (1 + 2 * tolerance(kind, n=4) + np.finfo(float).eps)
    with pytest.raises(AssertionError, match="exceeds"):
        assert_close(off, ONE, kind, n=4)


@pytest.mark.parametrize(
    ("actual", "expected", "message"),
    [
        (ONE, torch.asarray(ONE), "libraries differ"),
        (ONE, ONE[:, None], "shapes differ"),
        (ONE.astype(np.float32), ONE, "dtypes differ"),
        (np.array([np.nan, 2.0]), ONE, "exceeds"),
        (ONE, np.array([np.nan, 2.0]), "NaN or infinity"),
        (ONE, np.array([np.inf, 5.0]), "NaN or infinity"),  # an infinite scale would have let anything pass
    ],
)
def test_what_is_not_comparable_is_not_close(actual, expected, message):
    with pytest.raises(AssertionError, match=message):
        assert_close(actual, expected)


@pytest.mark.parametrize(
    ("options", "error"),
    [({"scale": math.inf}, NonFiniteError), ({"n": -1}, DomainError), ({"cond": math.nan}, NonFiniteError)],
)
def test_a_tolerance_is_finite_and_not_negative(options, error):
    with pytest.raises(error):
        tolerance("solve", **options)


def test_observed_order_is_the_slope():
    steps = [0.1, 0.05, 0.025, 0.0125]
    found = observed_order(steps, [3 * h**2 for h in steps])
    assert abs(found.order - 2) <= tolerance("solve", n=4) and len(found.local) == 3
    assert abs(observed_order(steps, steps).order - 2) > 0.9  # control: another order is another slope


@pytest.mark.parametrize(
    ("steps", "errors", "error", "message"),
    [
        (["fine", "finer"], [1, 2], DtypeError, "real numbers"),
        ([0.1], [1.0], DomainError, "one length >= 2"),
        ([0.1, 0.2], [1.0, 2.0, 3.0], DomainError, "one length >= 2"),
        ([0.1, 0.1], [1.0, 2.0], DomainError, "no step equal to the next"),
        ([0.1, 0.2], [1.0, 0.0], DomainError, "positive and finite"),
        ([0.1, math.inf], [1.0, 2.0], DomainError, "positive and finite"),
    ],
)
def test_bad_tables_have_no_order(steps, errors, error, message):
    with pytest.raises(error, match=message):
        observed_order(steps, errors)
