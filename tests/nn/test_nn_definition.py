"""The averaging matrix: the same numbers in NumPy and torch, the core's normalisations, and vanishing rows."""

import numpy as np
import pytest
import torch

from nlmodel._arrays import log_sum_exp, to_numpy
from nlmodel.kernels import Concatenation, DotProduct, ExpDot
from nlmodel.nn.definition import averaging_matrix
from nlmodel.normalization import normalize
from nlmodel.testing import assert_close


X = np.random.default_rng(3).standard_normal((2, 5, 3))
KERNELS = [ExpDot(), ExpDot(0.7), Concatenation(np.array([1.0, 0.5, -0.2]), np.array([0.3, 1.0, 0.1]))]


def in_torch(kernel):
    if isinstance(kernel, Concatenation):
        return Concatenation(torch.from_numpy(kernel.left), torch.from_numpy(kernel.right))
    return kernel


def positive(kernel):
    return np.abs(X) if isinstance(kernel, Concatenation) else X  # rows that vanish are refused by the core


@pytest.mark.parametrize("how", ["row", "symmetric", "none"])
@pytest.mark.parametrize("kernel", KERNELS, ids=["exp", "exp, t = 0.7", "concatenation"])
def test_is_the_cores_normalisation(kernel, how):
    points = positive(kernel)
    core = normalize(kernel(points), how)
    K, rate = averaging_matrix(kernel, points, points, how)
    assert_close(K, core.K, "reduction", n=16)
    assert_close(rate[..., 0], core.exit_rate, "reduction", n=16)
    other = {"row": "symmetric", "symmetric": "row", "none": "row"}[how]
    with pytest.raises(AssertionError, match="exceeds"):
        assert_close(K, normalize(kernel(points), other).K, "reduction", n=16)


@pytest.mark.parametrize("how", ["row", "symmetric", "size", "none"])
@pytest.mark.parametrize("kernel", KERNELS, ids=["exp", "exp, t = 0.7", "concatenation"])
def test_numpy_and_torch_agree(kernel, how):
    points = positive(kernel)
    for ours, expected in zip(
        averaging_matrix(in_torch(kernel), torch.from_numpy(points), torch.from_numpy(points), how),
        averaging_matrix(kernel, points, points, how),
        strict=True,
    ):
        assert_close(to_numpy(ours), expected, "reduction", n=16)


@pytest.mark.parametrize("how", ["row", "size", "none"])
@pytest.mark.parametrize("kernel", [*KERNELS, DotProduct()], ids=["exp", "exp, t", "concatenation", "dot"])
def test_the_rates_are_the_row_sums(kernel, how):
    K, rate = averaging_matrix(kernel, np.abs(X), np.abs(X[:, :4]), how)
    assert_close(np.sum(K, axis=-1, keepdims=True), rate, "reduction", n=8)
    symmetric, of_symmetric = averaging_matrix(ExpDot(), X, X, "symmetric")
    assert np.max(np.abs(np.sum(symmetric, axis=-1, keepdims=True) - of_symmetric)) > 0.01  # control: keeps none


def test_softmax_rows_sum_to_one_however_large_the_logits():
    points = 100 * X
    K, _ = averaging_matrix(ExpDot(), points, points, "softmax")
    assert_close(np.sum(K, axis=-1), np.ones((2, 5)), "reduction", n=5)
    logits = ExpDot().log(points)  # control: through the logarithm of the row sum, exact in theory
    with pytest.raises(AssertionError, match="exceeds"):
        assert_close(np.sum(np.exp(logits - log_sum_exp(logits)[..., None]), -1), np.ones((2, 5)), "reduction", n=5)


@pytest.mark.parametrize(
    ("kernel", "left", "right"),
    [
        (DotProduct(), [[0.0, 0.0], [1.0, 2.0]], [[1.0, 1.0], [2.0, 0.5]]),
        (DotProduct(), [[0.3, 0.7], [1.0, 2.0]], [[0.1, 0.2], [-0.1, -0.2]]),
        (Concatenation(np.ones(1), np.ones(1)), [[-9.0], [1.0]], [[2.0], [3.0]]),
    ],
    ids=["a receiver at zero", "senders that cancel", "nobody above the threshold"],
)
def test_a_row_that_vanishes_is_zero_and_has_no_rate(kernel, left, right):
    K, rate = averaging_matrix(kernel, np.array(left), np.array(right), "row")
    assert_close(K[0], np.zeros(2), "exact")
    assert_close(rate[0], np.zeros(1), "exact")
    with np.errstate(divide="ignore", invalid="ignore"):  # control: without the guard
        omega = kernel(np.array(left), np.array(right))
        assert not np.all(np.isfinite(omega[0] / np.sum(omega[0])))


def test_a_small_row_sum_that_is_no_rounding_still_divides():
    K, rate = averaging_matrix(DotProduct(), np.array([[1e-200]]), np.array([[1.0], [2.0]]), "row")
    assert_close(K, np.array([[1.0, 2.0]]) / 3, "reduction", n=2)
    assert_close(rate, np.ones((1, 1)), "exact")


def test_a_negative_row_sum_divides_as_any_other():
    K, rate = averaging_matrix(DotProduct(), np.array([[-1.0]]), np.array([[1.0], [3.0]]), "row")
    assert_close(K, np.array([[0.25, 0.75]]), "reduction", n=2)
    assert_close(rate, np.ones((1, 1)), "exact")
