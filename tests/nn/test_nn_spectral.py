"""The spectral block: symmetric affinity, its spectrum, dead positions, and what the third weight adds: nothing."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nlmodel.filters import chebyshev_filter
from nlmodel.nn.positions import from_rows, to_rows
from nlmodel.nn.spectral import SpectralNonlocalBlock
from nlmodel.testing import assert_close, tolerance


seeds = st.integers(0, 2**32 - 1)


def made(seed: int, channels: int = 3, **options: object) -> tuple[SpectralNonlocalBlock, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    block = SpectralNonlocalBlock(channels, w_init=0.7, generator=generator, **options).to(torch.float64)
    return block, torch.randn(1, channels, 2, 3, dtype=torch.float64, generator=generator)


def filtered(block: SpectralNonlocalBlock, x: torch.Tensor, A: torch.Tensor | None = None) -> torch.Tensor:
    Z = to_rows(x, 2).detach()
    A = block.affinity(x).detach() if A is None else A
    F = chebyshev_filter(A, Z, [theta.detach() for theta in block.chebyshev()])
    return x + from_rows(F, x.shape)


@given(seeds, st.booleans())
def test_law_filter_and_spectrum(seed: int, generalized: bool) -> None:
    block, x = made(seed, generalized=generalized)
    A, root = block.affinity(x).detach(), block.degree(x).detach().sqrt()
    assert_close(block(x).detach(), filtered(block, x, A), "solve", n=18, scale=10 * float(x.abs().max()))
    assert torch.equal(A, A.mT)
    assert_close(A @ root[..., None], root[..., None], "solve", n=6)
    assert float(torch.linalg.eigvalsh(A).abs().max()) <= 1 + tolerance("solve", n=6)


def test_twin_the_affinity_before_symmetrisation_is_another_filter() -> None:
    block, x = made(3)
    T, P = (layer(to_rows(x, 2)).relu().detach() for layer in (block.theta, block.phi))
    d = block.degree(x)[..., None].detach()
    scale = (d * d.mT).sqrt()
    half = T @ P.mT / scale.where(scale > 0, torch.ones_like(scale))
    assert_close(block.affinity(x).detach(), (half + half.mT) / 2, "solve", n=6)
    assert float((block(x) - filtered(block, x, half)).detach().abs().max()) > 0.01


def test_twins_of_the_spectrum() -> None:
    block, x = made(4)
    A, d = block.affinity(x)[0].detach(), block.degree(x)[0].detach()
    assert float((A.sum(-1) - 1).abs().max()) > 0.05  # constants are not kept
    unscaled = A * (d[:, None] * d).sqrt()
    assert float(torch.linalg.eigvalsh(unscaled)[-1]) > 1.05  # without D^{-1/2} the bound is lost
    assert min(float(torch.linalg.eigvalsh(made(s)[0].affinity(made(s)[1])[0].detach())[0]) for s in range(20)) < -0.3


def with_dead_positions() -> tuple[SpectralNonlocalBlock, torch.Tensor]:
    """theta and phi see the first channel with weight 1 and little else; there positions 0 and 4 are negative."""
    block, x = made(5)
    with torch.no_grad():
        for layer in (block.theta, block.phi):
            layer.weight.mul_(0.01)[:, 0] = 1.0
    first = torch.tensor([[-3.0, 1.0, 2.0], [1.5, -2.0, 0.5]], dtype=x.dtype)
    return block, torch.cat([first[None, None], x[:, 1:]], 1)


def test_dead_positions_hear_nobody_and_are_heard_by_nobody() -> None:
    block, x = with_dead_positions()
    A, d = block.affinity(x)[0].detach(), block.degree(x)[0].detach()
    dead = torch.tensor([True, False, False, False, True, False])
    assert torch.equal(d == 0, dead)
    assert torch.equal((A == 0).all(0), dead)
    assert torch.equal((A == 0).all(1), dead)
    assert_close(block(x).detach(), filtered(block, x), "solve", n=18)
    released = d.rsqrt()[:, None] * torch.ones_like(A)
    assert not bool(released.isfinite().all())  # control: 1 / sqrt(d) without the guard


def test_derivatives_with_dead_positions() -> None:
    block, x = with_dead_positions()
    everywhere = block.theta.weight.new_tensor(-1.0) * x.abs()  # all dead: A = 0, only W_1 is left
    for y in (x, torch.cat([everywhere[:, :1] - 1, x[:, 1:]], 1)):
        assert torch.autograd.gradcheck(block, (y.clone().requires_grad_(),))
        assert torch.autograd.gradgradcheck(block, (y.clone().requires_grad_(),), fast_mode=True)
        block.zero_grad()
        block(y).square().sum().backward()
        assert all(bool(p.grad.isfinite().all()) for p in block.parameters())


@pytest.mark.parametrize("seed", range(5))
def test_the_third_weight_is_a_reparametrisation(seed: int) -> None:
    general, x = made(seed, generalized=True)
    plain = SpectralNonlocalBlock(3).to(torch.float64)
    first, second, third = general.increment.w_z.weight.detach().chunk(3, -1)
    state = general.state_dict() | {"increment.w_z.weight": torch.cat([first - third, second + 2 * third], -1)}
    plain.load_state_dict(state)
    assert_close(plain(x).detach(), general(x).detach(), "solve", n=18, scale=10 * float(x.abs().max()))


def test_twin_the_second_chebyshev_term_is_no_reparametrisation() -> None:
    block, x = made(6)
    A = block.affinity(x)[0].detach()
    identity = torch.eye(6, dtype=A.dtype)
    assert float((2 * A @ A - identity - (2 * A - identity)).abs().max()) > 0.05  # A^2 = A does not hold


def test_one_position() -> None:
    block, x = made(7)
    A = block.affinity(x[..., :1, :1]).detach()
    assert A.shape == (1, 1, 1)
    assert float(A) in (0.0, 1.0) or abs(float(A) - 1) <= tolerance("elementwise")


@pytest.mark.parametrize("norm", [None, "batch"])
def test_the_norm_acts_on_the_increment(norm: str | None) -> None:
    block = SpectralNonlocalBlock(3, norm=norm, w_init="he").to(torch.float64)
    x = made(8)[1].expand(4, 3, 2, 3) + torch.arange(4.0, dtype=torch.float64)[:, None, None, None]
    increment = (block(x) - x).detach()
    spread = increment.transpose(0, 1).flatten(1).mean(1).abs().max()
    assert (float(spread) <= tolerance("reduction", n=24, scale=10.0)) is (norm == "batch")
