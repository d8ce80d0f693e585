"""Global context: one mean for all positions; rank one and idempotent."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from nlmodel.filters import chebyshev_filter
from nlmodel.nn.global_context import GlobalContext
from nlmodel.nn.positions import from_rows, to_rows
from nlmodel.testing import assert_close, tolerance


seeds = st.integers(0, 2**32 - 1)


def made(seed: int, **options: object) -> tuple[GlobalContext, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    block = GlobalContext(3, inner=4, w_init=0.7, generator=generator, **options).to(torch.float64)
    return block, torch.randn(2, 3, 2, 3, dtype=torch.float64, generator=generator)


@given(seeds)
def test_law_filter_rank_one_and_idempotent(seed: int) -> None:
    block, x = made(seed, transform="linear")
    A, alpha = block.affinity(x).detach(), block.weights(x).detach()
    assert bool((alpha > 0).all())
    assert float((alpha.sum(-1) - 1).abs().max()) <= tolerance("reduction", n=6)
    assert_close(A @ A, A, "reduction", n=12)
    assert float(torch.linalg.svdvals(A)[..., 1].max()) <= tolerance("solve", n=6)
    F = chebyshev_filter(A, to_rows(x, 2), [term.detach() for term in block.chebyshev()])
    expected = x + from_rows(F, x.shape)
    assert_close(block(x).detach(), expected, "solve", n=18, scale=10 * float(x.abs().max()))


def test_twin_another_softmax_is_not_idempotent() -> None:
    _, x = made(1)
    Z = to_rows(x, 2)
    A = (Z @ Z.mT).softmax(-1)
    assert float((A @ A - A).abs().max()) > 0.05


@given(seeds)
def test_law_the_bottleneck_acts_on_a_filter(seed: int) -> None:
    block, x = made(seed)
    context = chebyshev_filter(block.affinity(x).detach(), to_rows(x, 2), [0.0, -1.0])
    expected = (x + from_rows(block.transform(context), x.shape)).detach()
    first, norm = block.transform[:2]
    cond = float((first(context).detach().var(-1, correction=0) + norm.eps).rsqrt().max())  # of the layer norm
    assert_close(block(x).detach(), expected, "solve", n=18, scale=10 * float(expected.abs().max()), cond=cond)


def test_the_block_line_by_line() -> None:
    block, x = made(4, transform="linear")
    Z, w = to_rows(x, 2), block.key.weight.detach()[0]
    weights = (Z @ w).exp()
    mean = (weights[..., None] * Z).sum(1) / weights.sum(1)[:, None]
    expected = x + (mean @ block.transform[0].weight.detach().mT)[..., None, None]
    assert_close(block(x).detach(), expected, "solve", n=18)


def test_every_position_receives_the_same() -> None:
    block, x = made(2)
    change = (block(x) - x).detach().flatten(2)
    assert_close(change, change[..., :1].expand_as(change).contiguous(), "elementwise", scale=10.0)
    assert float(change.abs().max()) > 0.01
    assert float((change[0] - change[1]).abs().max()) > 0.01  # control: samples differ


def test_twin_the_plain_mean_is_another_block() -> None:
    block, x = made(3)
    alpha = block.weights(x).detach()
    assert float((alpha - 1 / 6).abs().max()) > 0.01
    with torch.no_grad():
        block.key.weight.zero_()
    assert_close(block.weights(x).detach(), torch.full_like(alpha, 1 / 6), "reduction", n=6)
