"""Compact generalised blocks: rank one and rank P + 1 on the vertices of each group, and the kernel they approach."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nlmodel.filters import chebyshev_filter
from nlmodel.nn.compact_generalized import CompactGeneralizedNonlocal
from nlmodel.testing import assert_close, tolerance


seeds = st.integers(0, 2**32 - 1)


def made(seed: int, **options: object) -> tuple[CompactGeneralizedNonlocal, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    block = CompactGeneralizedNonlocal(4, w_init="he", generator=generator, **options).to(torch.float64)
    return block, torch.randn(2, 4, 1, 3, dtype=torch.float64, generator=generator)


def filtered(block: CompactGeneralizedNonlocal, x: torch.Tensor, A: torch.Tensor) -> torch.Tensor:
    y = chebyshev_filter(A.detach(), block.vertices(x).detach(), block.chebyshev())
    return (x + block.increment(y, x)).detach()


@given(seeds, st.sampled_from(["dot", "rbf"]), st.sampled_from([1, 2]), st.booleans(), st.sampled_from([None, "group"]))
def test_law_the_block_is_its_filter(seed: int, kernel: str, groups: int, scale: bool, norm: str | None) -> None:
    block, x = made(seed, kernel=kernel, groups=groups, scale=scale, norm=norm, gamma=0.2)
    y = block.vertices(x).detach()
    A = block.affinity(x).detach()
    size = float(A.abs().max() * y.abs().max()) * y.shape[-2]
    F = block.w_z((A @ y).reshape(2, 2, 3)).detach().unflatten(1, (groups, -1)).flatten(2)
    cond = 1.0 if block.norm is None else float((F.var(-1, correction=0) + block.norm.eps).rsqrt().max())
    found = block(x).detach()
    assert_close(found, filtered(block, x, A), "solve", n=12, scale=max(1.0, size), cond=cond)


def test_twin_groups_do_not_mix() -> None:
    block, x = made(1, groups=2, norm=None)
    whole, _ = made(1, groups=1, norm=None)
    swapped = block.affinity(x).flip(1)
    assert float((block(x) - filtered(block, x, swapped)).detach().abs().max()) > 0.01
    assert block.affinity(x).shape == (2, 2, 3, 3)
    assert whole.affinity(x).shape == (2, 1, 6, 6)


def rank(A: torch.Tensor) -> int:
    """Singular values above rounding, relative to the largest."""
    values = torch.linalg.svdvals(A)
    return int((values > tolerance("solve", n=A.shape[-1], scale=float(values[0]))).sum())


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_rank(order: int) -> None:
    block, x = made(2, kernel="rbf", gamma=0.5, order=order)
    assert rank(block.affinity(x)[0, 0].detach()) == order + 1
    dot = made(2)[0].affinity(x)[0, 0].detach()
    assert rank(dot) == 1
    assert rank(dot.exp()) == 6  # control: the kernel that is expanded has full rank


@given(seeds, st.integers(0, 8))
def test_law_the_radial_kernel_within_its_remainder(seed: int, order: int) -> None:
    gamma = 0.3
    block, x = made(seed, kernel="rbf", order=order, gamma=gamma, prefactor="exact")
    t, p = vertex_numbers(block, x)
    u = 2 * gamma * t * p.mT
    gap = (block.affinity(x).detach() - (-gamma * (t - p.mT) ** 2).exp()).abs()
    bound = u.abs() ** (order + 1) / math.factorial(order + 1)
    rounding = tolerance("solve", n=order + 1, scale=1 + float((u.abs() / 2).exp().max()))
    assert bool((gap <= bound + rounding).all())


def vertex_numbers(block: CompactGeneralizedNonlocal, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    Z = x.flatten(2).mT
    return tuple(layer(Z).mT.reshape(x.shape[0], 1, -1, 1).detach() for layer in (block.theta, block.phi))


def test_twin_the_published_prefactor_does_not_converge() -> None:
    gamma = 0.3
    block, x = made(3, kernel="rbf", order=30, gamma=gamma)
    t, p = vertex_numbers(block, x)
    radial = (-gamma * (t - p.mT) ** 2).exp()
    assert float((block.affinity(x).detach() - radial).abs().max()) > 0.1
    expected = math.exp(-2 * gamma) * (2 * gamma * t * p.mT).exp()
    largest = float((2 * gamma * t * p.mT).abs().max())
    assert_close(block.affinity(x).detach(), expected, "solve", n=31, scale=math.exp(largest))


def test_the_dot_product_entry_by_entry() -> None:
    block, x = made(7, groups=2)
    t, p = (n.reshape(2, 2, 3, 1) for n in vertex_numbers(block, x))
    assert_close(block.affinity(x).detach(), t * p.mT, "reduction", n=4)


def test_the_published_expansion_term_by_term() -> None:
    gamma, order = 1e-4, 2
    block, x = made(4, kernel="rbf", order=order, gamma=gamma)
    t, p = vertex_numbers(block, x)
    alpha = [math.exp(-2 * gamma) * (2 * gamma) ** q / math.factorial(q) for q in range(order + 1)]
    expected = sum(a * t**q * (p**q).mT for q, a in enumerate(alpha))
    assert_close(block.affinity(x).detach(), expected, "solve", n=3)


def test_the_scale_divides_by_the_root_of_the_vertices() -> None:
    (block, x), (scaled, _) = made(5), made(5, scale=True)
    assert_close(scaled.affinity(x).detach() * math.sqrt(6), block.affinity(x).detach(), "reduction", n=6)


def test_constants_are_not_kept() -> None:
    block, x = made(6)
    assert float((block.affinity(x).sum(-1) - 1).detach().abs().max()) > 0.1
