"""Criss-cross attention: the lines through a position, row-stochastic, connected after as many passes as axes."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nlmodel.filters import chebyshev_filter
from nlmodel.nn.criss_cross import CrissCross
from nlmodel.nn.positions import from_rows, to_rows
from nlmodel.testing import assert_close, tolerance


seeds = st.integers(0, 2**32 - 1)
SPACES = [(4,), (2, 3), (3, 1), (1, 1), (2, 3, 2)]


def made(seed: int, space: tuple[int, ...], **options: object) -> tuple[CrissCross, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    block = CrissCross(3, 2, gamma=0.5, dimension=len(space), generator=generator, **options).to(torch.float64)
    return block, torch.randn(1, 3, *space, dtype=torch.float64, generator=generator)


def by_definition(block: CrissCross, x: torch.Tensor) -> torch.Tensor:
    """The softmax over all positions that differ from i in at most one coordinate."""
    d = x.ndim - 2
    places = list(itertools.product(*(range(n) for n in x.shape[2:])))
    near = torch.tensor([[sum(a != b for a, b in zip(i, j, strict=True)) <= 1 for j in places] for i in places])
    Z = to_rows(x, d)
    return (block.theta(Z) @ block.phi(Z).mT).masked_fill(~near, -math.inf).softmax(-1).detach()


@given(seeds, st.sampled_from(SPACES))
def test_law_the_affinity_is_its_definition(seed: int, space: tuple[int, ...]) -> None:
    block, x = made(seed, space)
    A = block.affinity(x).detach()
    assert_close(A, by_definition(block, x), "solve", n=math.prod(space), scale=4.0)
    assert float((A.sum(-1) - 1).abs().max()) <= tolerance("reduction", n=math.prod(space))


@pytest.mark.parametrize("space", SPACES)
def test_entries_of_a_row_and_connection(space: tuple[int, ...]) -> None:
    block, x = made(1, space)
    A = block.affinity(x)[0].detach()
    d, M = len(space), math.prod(space)
    assert torch.equal((A > 0).sum(-1), torch.full((M,), sum(space) - (d - 1)))
    assert bool((torch.linalg.matrix_power(A, d) > 0).all())
    if sum(n > 1 for n in space) == d > 1:
        assert bool((torch.linalg.matrix_power(A, d - 1) == 0).any())  # control: one pass less is not enough


def test_twin_counting_the_position_twice() -> None:
    block, x = made(2, (2, 3))
    theta, phi = (layer(to_rows(x, 2)).unflatten(1, (2, 3)) for layer in (block.theta, block.phi))
    column = torch.einsum("bhwc,bkwc->bhwk", theta, phi)
    row = torch.einsum("bhwc,bhvc->bhwv", theta, phi)
    joint = torch.cat([column, row], -1).softmax(-1)
    itself = joint[0, 0, 0, 0] + joint[0, 0, 0, 2]
    assert abs(float(itself.detach() - by_definition(block, x)[0, 0, 0])) > 0.01


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("recurrence", [1, 2, 3])
def test_the_shared_block_is_its_filter(recurrence: int, space: tuple[int, ...]) -> None:
    block, x = made(3, space, recurrence=recurrence, recompute=False)
    theta = [term.detach() for term in block.chebyshev()]
    assert len(theta) == recurrence + 1
    F = chebyshev_filter(block.affinity(x).detach(), to_rows(x, len(space)), theta)
    expected = x + from_rows(F, x.shape)
    assert_close(block(x).detach(), expected, "solve", n=9 * recurrence, scale=10 * float(expected.abs().max()))


@pytest.mark.parametrize("recurrence", [1, 2, 3])
def test_each_pass_has_its_own_affinity(recurrence: int) -> None:
    block, x = made(4, (2, 3), recurrence=recurrence)
    shared, _ = made(4, (2, 3), recurrence=recurrence, recompute=False)
    once, _ = made(4, (2, 3), recurrence=1)
    y = x
    for _ in range(recurrence):
        F = chebyshev_filter(once.affinity(y).detach(), to_rows(y, 2), [term.detach() for term in once.chebyshev()])
        y = y + from_rows(F, y.shape)
    assert_close(block(x).detach(), y, "solve", n=9 * recurrence, scale=10 * float(y.abs().max()))
    frozen = float((shared(x) - block(x)).detach().abs().max())
    assert frozen == 0 if recurrence == 1 else frozen > 0.01  # control: one affinity for all passes is another block


def test_the_shared_filter_keeps_the_sum_rule() -> None:
    """sum_k (-1)^k Theta_k = (I + gamma W_g)^R - I: what a constant receives."""
    block, _ = made(5, (2, 3), recurrence=3, recompute=False)
    total = sum((-1) ** k * term for k, term in enumerate(block.chebyshev())).detach()
    W = 0.5 * block.g.weight.detach().mT
    identity = torch.eye(3, dtype=W.dtype)
    expected = torch.linalg.matrix_power(identity + W, 3) - identity
    assert_close(total, expected, "solve", n=9, scale=float((identity + W.abs()).norm() ** 3))


def test_one_axis_is_softmax_attention() -> None:
    block, x = made(6, (5,))
    Z = to_rows(x, 1)
    assert_close(block.affinity(x).detach(), (block.theta(Z) @ block.phi(Z).mT).softmax(-1).detach(), "solve", n=5)
