"""Operators at the edge of the range: large logits, masks, blocks of different scale, batches of different kinds."""

import numpy as np
import pytest
import torch

from nlmodel import NonlocalOperator, normalize
from nlmodel.errors import NormalizationError
from nlmodel.kernels import DotProduct, ExpDot
from nlmodel.testing import tolerance
from tests.operators.cases import averaging


HOWS = ("none", "row", "symmetric", "sinkhorn", "alpha")
LOWEST = np.finfo(np.float64).min  # what attention code writes into masked logits


def symmetric(rng: np.random.Generator, M: int = 5) -> np.ndarray:
    raw = rng.standard_normal((M, M))
    return (raw + raw.T) / 2


@pytest.mark.parametrize("shift", [-1e5, 1e5])
@pytest.mark.parametrize("how", ["row", "sinkhorn", "alpha"])
def test_a_common_factor_of_the_affinity_changes_nothing(rng, how, shift):
    """exp(+-1e5) has no floating-point value; the logits that remain carry the rounding eps * 1e5."""
    logits = symmetric(rng)
    op = NonlocalOperator.from_affinity(logits + shift, how, log=True)
    rounding = 1e5 * tolerance("reduction", n=5, scale=8.0)
    expected = averaging(np.exp(logits), np.ones(5), how)
    assert np.max(np.abs(op.average(np.eye(5)) - expected)) <= rounding
    assert np.all(op.degree == (np.inf if shift > 0 else 0.0))
    assert np.all(np.isfinite(op.measure)) and np.all(op.measure > 0)
    steady = np.max(np.abs(op @ np.ones(5)))
    assert steady <= (rounding if how == "sinkhorn" else tolerance("reduction", n=5))
    rough = np.exp(logits + shift - np.log(np.exp(logits).sum(1))[:, None] - shift)  # control: not divided out again
    assert np.max(np.abs(rough.sum(1) - 1)) > tolerance("reduction", n=5)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rows_of_very_different_weight(rng, dtype):
    """exp(x.y) of vectors between 0 and 60: the measure spans exp(3600), and nothing overflows."""
    X = np.linspace(0, 60, 7, dtype=dtype)[:, None]
    op = NonlocalOperator.from_points(X, ExpDot())
    Z = rng.standard_normal((7, 2)).astype(dtype)
    bound = tolerance("reduction", dtype, n=7, scale=8.0)
    assert np.max(np.abs(op @ np.ones(7, dtype=dtype))) <= bound
    assert np.all(np.isfinite(op.mean(Z))) and op.energy(Z) >= -bound
    S = op.symmetrized().to_dense()
    assert np.array_equal(S, S.T)
    largest, smallest = np.linalg.eigvalsh(S.astype(float))[[-1, 0]]
    expected = np.sort(np.linalg.eigvals(op.averaging.to_dense().astype(float)).real)[[-1, 0]]
    assert abs(largest - expected[0]) <= 64 * bound and abs(smallest - expected[1]) <= 64 * bound
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # control: root by root there is no answer
        root = np.sqrt(op.measure)
        assert not np.all(np.isfinite(root[:, None] * op.averaging.to_dense() / root))


def test_the_measure_of_a_batch_is_scaled_one_by_one(rng):
    logits = symmetric(rng)
    both = NonlocalOperator.from_affinity(np.stack([logits + 1e5, logits]), log=True)
    alone = NonlocalOperator.from_affinity(logits, log=True)
    assert np.array_equal(both.measure[1], alone.measure)
    assert abs(np.max(both.measure[0]) - 1) <= 1e5 * tolerance("elementwise")
    Z = rng.standard_normal((2, 5, 3))
    assert np.max(np.abs(both.mean(Z)[1] - alone.mean(Z[1]))) <= tolerance("reduction", n=5)
    assert np.all(np.isfinite(both.energy(Z)))


@pytest.mark.parametrize("mask", [-np.inf, LOWEST, -1e9])
def test_masked_logits(rng, mask):
    """A window that both sides see: symmetric logits stay reversible, others do not become so behind the mask."""
    near = np.abs(np.subtract.outer(np.arange(6), np.arange(6))) <= 1
    logits = symmetric(rng, 6)
    lopsided = rng.standard_normal((6, 6))
    op = NonlocalOperator.from_affinity(np.where(near, logits, mask), log=True)
    expected = averaging(np.where(near, np.exp(logits), 0.0), np.ones(6), "row")
    assert op.reversible
    assert np.max(np.abs(op.average(np.eye(6)) - expected)) <= tolerance("reduction", n=6, scale=8.0)
    assert not NonlocalOperator.from_affinity(np.where(near, lopsided, mask), log=True).reversible
    causal = NonlocalOperator.from_affinity(np.where(np.tri(6) > 0, logits, mask), log=True)
    assert not causal.reversible and causal.nonnegative
    defect = float(np.max(np.abs(np.where(near, lopsided - lopsided.T, 0))))
    assert 1 < defect < tolerance("elementwise", scale=abs(LOWEST))  # control: beside the mask it would be rounding


def test_a_row_that_sees_nothing_has_no_average(rng):
    logits = symmetric(rng)
    logits[2] = -np.inf
    with pytest.raises(NormalizationError, match="row 2: 0 "):
        NonlocalOperator.from_affinity(logits, log=True)
    logits[2] = LOWEST  # softmax by softmax: all equally little is a uniform average
    K = normalize(logits, log=True).K
    assert np.max(np.abs(K[2] - 0.2)) <= tolerance("elementwise", scale=0.2)


def test_a_large_block_does_not_hide_a_lopsided_one(rng):
    """Row scaling makes blocks equal, so each pair is judged by its own rows; so is each matrix of a batch."""
    lopsided, even = rng.uniform(0.1, 1, (4, 4)), np.exp(symmetric(rng, 4))
    block = np.block([[1e20 * even, np.zeros((4, 4))], [np.zeros((4, 4)), lopsided]])
    assert not NonlocalOperator.from_affinity(block).reversible
    assert not NonlocalOperator.from_affinity(np.stack([1e20 * even, lopsided])).reversible
    assert NonlocalOperator.from_affinity(np.stack([1e20 * even, even])).reversible
    m, K = block.sum(1), block / block.sum(1, keepdims=True)
    small = (m[:, None] * K - (m[:, None] * K).T)[4:, 4:]
    assert np.max(np.abs(small)) > 1e-3  # control: in the measure that was claimed before, it is not self-adjoint


def test_a_law_that_fails_on_some_points_may_hold_on_these(rng):
    """The dot product has either sign, but not on nonnegative features: there it may be scaled by Sinkhorn."""
    X = rng.uniform(0.1, 1.0, (5, 3))
    op = NonlocalOperator.from_points(X, DotProduct(), "sinkhorn")
    assert {"maximum_principle", "contraction"} <= op.keeps
    signed = NonlocalOperator.from_points(np.vstack([X, [[1.0, -0.5, 0.0]]]), DotProduct(), weights=0.2)
    assert "maximum_principle" not in signed.keeps and "constants" in signed.keeps


@pytest.mark.parametrize("how", HOWS)
def test_gradients_of_an_affinity_and_of_a_masked_logarithm(rng, how):
    window = torch.asarray(np.abs(np.subtract.outer(np.arange(3), np.arange(3))) <= 1)
    Z = torch.asarray(rng.standard_normal((3, 1)))
    raw = torch.asarray(rng.uniform(-0.5, 0.5, (3, 3))).requires_grad_()

    def masked(raw):
        logits = torch.where(window, raw + raw.T, -torch.inf)
        return NonlocalOperator.from_affinity(logits, how, log=True) @ Z

    def plain(raw):
        return NonlocalOperator.from_affinity(torch.exp(raw + raw.T), how, weights=0.3) @ Z

    for run in (masked, plain):
        assert torch.autograd.gradcheck(run, (raw,))
        if how != "sinkhorn":  # its second derivatives are checked on points
            assert torch.autograd.gradgradcheck(run, (raw,))
