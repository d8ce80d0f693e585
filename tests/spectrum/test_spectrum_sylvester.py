"""The inertia theorem: a bottleneck of r channels has exactly r positive and r negative eigenvalues."""

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nlmodel.spectrum import bottleneck_eigenvalues, inertia, low_rank_inertia
from nlmodel.testing import tolerance


seeds = st.integers(0, 2**32 - 1)


def bottleneck(seed: int, C: int, r: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((C, r)), rng.standard_normal((r, C))


@given(seeds, st.integers(1, 6), st.integers(0, 8))
def test_law_a_generic_bottleneck_is_split_evenly(seed: int, r: int, more: int) -> None:
    C = 2 * r + more
    W_Z, W_g = bottleneck(seed, C, r)
    assert low_rank_inertia(W_Z, W_g).signs == (r, r, C - 2 * r)
    assert inertia(W_Z @ W_g).signs == (r, r, C - 2 * r)


def test_twin_an_unfactored_weight_is_not_split_evenly(rng: np.random.Generator) -> None:
    counts = {inertia(rng.standard_normal((12, 12)) + shift * np.eye(12)).signs for shift in (-3.0, 0.0, 3.0)}
    assert counts != {(6, 6, 0)}


@given(seeds, st.integers(1, 6), st.integers(1, 6), st.integers(0, 6))
def test_law_bounds_for_any_rank(seed: int, C: int, r: int, copied: int) -> None:
    W_Z, W_g = bottleneck(seed, C, r)
    copied = min(copied, r)
    W_g[:copied] = W_Z.T[:copied]
    found, k = low_rank_inertia(W_Z, W_g), int(np.linalg.matrix_rank(np.hstack([W_Z, W_g.T])))
    assert k - r <= found.positive <= r
    assert k - r <= found.negative <= r
    assert found.zero >= C - k
    assert sum(found.signs) == C
    assert found.signs == inertia(W_Z @ W_g).signs


def test_twin_the_bounds_fail_for_a_weight_of_higher_rank(rng: np.random.Generator) -> None:
    W, r = rng.standard_normal((12, 3)) @ rng.standard_normal((3, 12)) - np.eye(12), 3
    assert not inertia(W).negative <= r


def test_the_paper_size_and_the_tied_form(rng: np.random.Generator) -> None:
    W_Z, W_g = rng.standard_normal((64, 32)), rng.standard_normal((32, 64))
    assert low_rank_inertia(W_Z, W_g).signs == inertia(W_Z @ W_g).signs == (32, 32, 0)
    assert low_rank_inertia(W_Z, W_Z.T).signs == inertia(W_Z @ W_Z.T).signs == (32, 0, 32)
    assert low_rank_inertia(W_Z, -W_Z.T).signs == (0, 32, 32)
    turned = np.hstack([W_Z[:, :16], -W_Z[:, 16:]])
    assert low_rank_inertia(turned, W_Z.T).signs == (16, 16, 32)
    antisymmetric = np.hstack([W_Z, W_g.T]), np.vstack([W_g, -W_Z.T])
    assert low_rank_inertia(*antisymmetric).signs == (0, 0, 64)


def test_signs_of_tiny_eigenvalues_survive_where_the_full_matrix_loses_them(rng: np.random.Generator) -> None:
    W_Z = rng.standard_normal((64, 32))
    W_g = -0.7 * W_Z.T + 1e-6 * rng.standard_normal((32, 64))
    assert low_rank_inertia(W_Z, W_g).signs == (32, 32, 0)
    assert inertia((W_Z @ W_g).astype(np.float32)).signs == (0, 32, 32)
    assert inertia(W_Z @ W_g, tol=1e-3).signs == (0, 32, 32)


@given(seeds, st.integers(1, 5), st.integers(0, 4), st.floats(-6, 6))
def test_law_inertia_ignores_how_the_factors_share_their_scale(seed: int, r: int, more: int, power: float) -> None:
    W_Z, W_g = bottleneck(seed, 2 * r + more, r)
    share = 10.0 ** (power * np.arange(1, r + 1) / r)
    assert low_rank_inertia(W_Z * share, W_g / share[:, None]).signs == low_rank_inertia(W_Z, W_g).signs


def test_dead_channels_and_the_zero_weight(rng: np.random.Generator) -> None:
    W_Z, W_g = rng.standard_normal((6, 3)), rng.standard_normal((3, 6))
    W_Z[:, 1] = 0
    W_g[2] = 0
    assert low_rank_inertia(W_Z, W_g).signs == inertia(W_Z @ W_g).signs == (1, 1, 4)
    assert low_rank_inertia(np.zeros((4, 2)), np.zeros((2, 4))).signs == (0, 0, 4)
    assert inertia(np.zeros((3, 3))).signs == (0, 0, 3)


@given(seeds, st.integers(1, 6))
def test_law_sylvester_congruence_keeps_the_inertia(seed: int, C: int) -> None:
    rng = np.random.default_rng(seed)
    signs = rng.integers(-1, 2, C)
    S = np.linalg.qr(rng.standard_normal((C, C)))[0] * rng.uniform(0.5, 2.0, C)
    expected = tuple(int(np.sum(signs == s)) for s in (1, -1, 0))
    assert inertia(S @ np.diag(signs.astype(float)) @ S.T).signs == expected


def test_twin_similarity_does_not_keep_the_inertia() -> None:
    D, S = np.diag([1.0, 2.0]), np.array([[1.0, 40.0], [0.0, 1.0]])
    assert inertia(D).signs == (2, 0, 0)
    assert inertia(S @ D @ np.linalg.inv(S)).signs == (1, 1, 0)


def power_sums_agree(values: np.ndarray, W: np.ndarray) -> None:
    size, power = float(np.linalg.norm(W, 2)), np.eye(len(W))
    for p in (1, 2, 3):
        power = power @ W
        bound = tolerance("solve", n=len(W), scale=len(W) * size**p)
        assert abs(np.sum(values**p) - np.trace(power)) <= bound


@given(seeds, st.integers(1, 6), st.integers(0, 6))
def test_law_the_small_product_has_every_nonzero_eigenvalue(seed: int, r: int, more: int) -> None:
    W_Z, W_g = bottleneck(seed, r + more, r)
    values = bottleneck_eigenvalues(W_Z, W_g)
    assert values.shape == (r,)
    power_sums_agree(values, W_Z @ W_g)


def test_twin_eigenvalues_of_the_symmetric_part_are_others(rng: np.random.Generator) -> None:
    W_Z, W_g = rng.standard_normal((6, 2)), rng.standard_normal((2, 6))
    W = W_Z @ W_g
    with pytest.raises(AssertionError):
        power_sums_agree(np.linalg.eigvalsh((W + W.T) / 2), W)


def test_bottleneck_eigenvalues_against_fifty_digits(rng: np.random.Generator) -> None:
    W_Z, W_g = rng.standard_normal((7, 3)), rng.standard_normal((3, 7))
    with mpmath.workdps(50):
        exact = mpmath.eig(mpmath.matrix(W_Z.tolist()) * mpmath.matrix(W_g.tolist()), right=False)
        largest = sorted((complex(value) for value in exact), key=abs, reverse=True)[:3]
    values, vectors = np.linalg.eig(W_g @ W_Z)
    bound = tolerance("solve", n=3, cond=float(np.linalg.cond(vectors)), scale=float(np.max(np.abs(values))))
    gaps = np.abs(bottleneck_eigenvalues(W_Z, W_g)[:, None] - np.array(largest)[None])
    assert np.max(np.min(gaps, axis=1)) <= bound
    assert np.max(np.min(gaps, axis=0)) <= bound


@given(seeds, st.integers(1, 4), st.integers(0, 3), st.integers(0, 4))
def test_law_complex_factors_use_the_adjoint(seed: int, r: int, more: int, copied: int) -> None:
    W_Z, W_g = bottleneck(seed, r + more, r)
    W_Z, W_g = W_Z + 1j * bottleneck(seed + 1, r + more, r)[0], W_g + 1j * W_g[:, ::-1]
    W_g[:copied] = W_Z.conj().T[:copied]
    assert low_rank_inertia(W_Z, W_g).signs == inertia(W_Z @ W_g).signs


def test_torch_complex_and_single_precision(rng: np.random.Generator) -> None:
    W_Z, W_g = rng.standard_normal((8, 3)), rng.standard_normal((3, 8))
    assert low_rank_inertia(torch.from_numpy(W_Z), torch.from_numpy(W_g)).signs == (3, 3, 2)
    assert inertia(torch.from_numpy(W_Z @ W_g).requires_grad_()).signs == (3, 3, 2)
    assert low_rank_inertia(W_Z.astype(np.float32), W_g.astype(np.float32)).signs == (3, 3, 2)
    assert low_rank_inertia(W_Z + 1j * W_Z[::-1], W_g - 2j * W_g[::-1]).signs == (3, 3, 2)
    assert inertia((W_Z + 1j * W_Z[::-1]) @ (W_g - 2j * W_g[::-1])).signs == (3, 3, 2)
    assert bottleneck_eigenvalues(W_Z.astype(np.float32), W_g.astype(np.float32)).dtype == np.complex64
    assert repr(inertia(np.eye(2), tol=0.0)) == "Inertia(positive=2, negative=0, zero=0, tolerance=0.0)"
