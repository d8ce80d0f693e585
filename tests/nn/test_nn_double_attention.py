"""Double attention: a row-stochastic affinity of rank n, whose spectrum is that of a chain among the slots."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from nlmodel.filters import chebyshev_filter
from nlmodel.nn.double_attention import DoubleAttention
from nlmodel.nn.positions import from_rows, to_rows
from nlmodel.testing import assert_close, tolerance


seeds = st.integers(0, 2**32 - 1)


def made(seed: int, slots: int = 2) -> tuple[DoubleAttention, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    block = DoubleAttention(3, slots=slots, w_init=0.7, generator=generator).to(torch.float64)
    return block, torch.randn(1, 3, 2, 3, dtype=torch.float64, generator=generator)


def filtered(block: DoubleAttention, x: torch.Tensor, A: torch.Tensor) -> torch.Tensor:
    F = chebyshev_filter(A.detach(), to_rows(x, 2), [theta.detach() for theta in block.chebyshev()])
    return x + from_rows(F, x.shape)


@given(seeds, st.integers(1, 4))
def test_law_filter_rank_and_spectrum(seed: int, slots: int) -> None:
    """The last lines: det(t I - V B^T) = t^(M - n) det(t I - B^T V), at points t away from the spectrum."""
    block, x = made(seed, slots)
    A, chain = block.affinity(x).detach(), block.slot_chain(x).detach()
    assert_close(block(x).detach(), filtered(block, x, A), "solve", n=18, scale=10 * float(x.abs().max()))
    for P in (A, chain):
        assert bool((P > 0).all())
        assert float((P.sum(-1) - 1).abs().max()) <= tolerance("reduction", n=6 + slots)
    assert float(torch.linalg.svdvals(A)[0, slots:].max()) <= tolerance("solve", n=6)
    for t in (1.5, -1.5, 2j):
        long = np.linalg.det(t * np.eye(6) - A[0].numpy())
        short = t ** (6 - slots) * np.linalg.det(t * np.eye(slots) - chain[0].numpy())
        assert abs(long - short) <= tolerance("solve", n=6, scale=(1 + abs(t)) ** 6)


def test_the_affinity_entry_by_entry() -> None:
    block, x = made(4)
    a, v = (layer(to_rows(x, 2))[0].detach().exp() for layer in (block.gather, block.distribute))
    expected = sum((v[:, k] / v.sum(1))[:, None] * (a[:, k] / a[:, k].sum())[None] for k in range(2))
    assert_close(block.affinity(x)[0].detach(), expected, "solve", n=6)


def test_twin_the_softmaxes_on_the_other_axes() -> None:
    block, x = made(1)
    Z = to_rows(x, 2)
    wrong = block.distribute(Z).softmax(-2) @ block.gather(Z).softmax(-1).mT
    assert float((block(x) - filtered(block, x, wrong)).detach().abs().max()) > 0.01
    assert float((wrong.sum(-1) - 1).detach().abs().max()) > 0.05


def test_twin_two_steps_of_the_chain_have_another_spectrum() -> None:
    block, x = made(3)
    A, chain = block.affinity(x)[0].detach().numpy(), block.slot_chain(x)[0].detach().numpy()
    determinant = np.linalg.det(1.5 * np.eye(6) - A)
    assert abs(1.5**4 * np.linalg.det(1.5 * np.eye(2) - chain @ chain) - determinant) > 0.01


def test_the_rank_is_the_number_of_slots() -> None:
    affinities = (block.affinity(x)[0].detach() for block, x in (made(2, slots) for slots in (1, 2, 3)))
    assert [int(torch.linalg.matrix_rank(A)) for A in affinities] == [1, 2, 3]
