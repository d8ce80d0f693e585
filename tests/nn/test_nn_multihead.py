"""Multi-head self-attention as a sum of nonlocal blocks: against torch, against its filters, head by head."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nlmodel.filters import chebyshev_filter
from nlmodel.nn.block import NonlocalBlock
from nlmodel.nn.multihead import MultiheadNonlocalBlock
from nlmodel.nn.positions import from_rows, to_rows
from nlmodel.testing import assert_close, tolerance


seeds = st.integers(0, 2**32 - 1)


def made(seed: int, heads: int = 2, **options: object) -> tuple[MultiheadNonlocalBlock, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    block = MultiheadNonlocalBlock(4, 4, heads=heads, w_init=0.7, generator=generator, **options).to(torch.float64)
    return block, torch.randn(2, 4, 2, 3, dtype=torch.float64, generator=generator)


@given(seeds, st.sampled_from([1, 2, 4]))
def test_law_the_block_is_the_sum_of_its_filters(seed: int, heads: int) -> None:
    block, x = made(seed, heads)
    K, Z = block.affinity(x).detach(), to_rows(x, 2)
    terms = [chebyshev_filter(K[:, h], Z, [t.detach() for t in theta]) for h, theta in enumerate(block.chebyshev())]
    expected = x + from_rows(sum(terms), x.shape)
    assert_close(block(x).detach(), expected, "solve", n=24, scale=10 * float(x.abs().max()))
    assert bool((K >= 0).all())
    assert float((K.sum(-1) - 1).abs().max()) <= tolerance("reduction", n=6, scale=8.0)


def test_twin_heads_exchanged() -> None:
    block, x = made(1)
    K, Z = block.affinity(x).detach().flip(1), to_rows(x, 2)
    terms = [chebyshev_filter(K[:, h], Z, [t.detach() for t in theta]) for h, theta in enumerate(block.chebyshev())]
    assert float((block(x) - x - from_rows(sum(terms), x.shape)).detach().abs().max()) > 0.01


@pytest.mark.parametrize("heads", [1, 2])
def test_fused_equals_the_definition_in_value_and_gradient(heads: int) -> None:
    fused, x = made(2, heads)
    dense, _ = made(2, heads, algorithm="dense")
    found = {}
    for name, block in (("fused", fused), ("dense", dense)):
        y = x.clone().requires_grad_()
        out = block(y)
        gradients = torch.autograd.grad(out.square().sum(), [y, *block.parameters()])
        found[name] = [out.detach(), *gradients]
    for one, other in zip(found["fused"], found["dense"], strict=True):
        assert_close(one, other, "solve", n=24, scale=10 * float(other.abs().max()))


def test_one_head_is_the_embedded_gaussian_block() -> None:
    block, x = made(3, heads=1)
    plain = NonlocalBlock(4, 4, affinity="embedded_gaussian", scale=True).to(torch.float64)
    with torch.no_grad():
        for ours, theirs in (
            (block.theta, plain.embedding.theta),
            (block.phi, plain.embedding.phi),
            (block.g, plain.g),
            (block.increment.w_z, plain.w_z),
        ):
            theirs.weight.copy_(ours.weight)
    assert_close(block(x).detach(), plain(x).detach(), "solve", n=24)
    unscaled, _ = made(3, heads=1, scale=False)
    assert float((unscaled(x) - plain(x)).detach().abs().max()) > 0.01


@pytest.mark.parametrize("heads", [1, 2])
def test_torch_attention_with_the_same_weights(heads: int) -> None:
    block, x = made(4, heads)
    peer = torch.nn.MultiheadAttention(4, heads, bias=False, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        peer.in_proj_weight.copy_(torch.cat([block.theta.weight, block.phi.weight, block.g.weight]))
        peer.out_proj.weight.copy_(block.increment.w_z.weight)
    Z = to_rows(x, 2)
    expected, K = peer(Z, Z, Z, average_attn_weights=False)
    assert_close(block(x).detach(), (x + from_rows(expected, x.shape)).detach(), "solve", n=24)
    assert_close(block.affinity(x).detach(), K.detach(), "solve", n=6)


def test_heads_do_not_commute() -> None:
    block, x = made(5)
    first, second = block.affinity(x)[0].detach()
    assert float((first @ second - second @ first).abs().max()) > 0.01
    assert float((first @ first @ first - first @ (first @ first)).abs().max()) <= tolerance("reduction", n=6)


def test_the_scale_is_that_of_one_head() -> None:
    block, x = made(6)
    Z = to_rows(x, 2)
    theta, phi = block.theta(Z)[..., :2], block.phi(Z)[..., :2]
    expected = (theta @ phi.mT / math.sqrt(2)).softmax(-1).detach()
    assert_close(block.affinity(x)[:, 0].detach(), expected, "solve", n=6)
    whole = (theta @ phi.mT / math.sqrt(4)).softmax(-1).detach()
    assert float((block.affinity(x)[:, 0].detach() - whole).abs().max()) > 0.01
