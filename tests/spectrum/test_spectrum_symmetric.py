"""The symmetric part sets the energy rate, in the right inner product; the antisymmetric part does not."""

import array_api_strict
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nlmodel.spectrum import antisymmetric_part, symmetric_part
from nlmodel.testing import assert_close, tolerance


seeds = st.integers(0, 2**32 - 1)
squares = st.integers(1, 6).flatmap(lambda n: arrays(np.float64, (n, n), elements=st.floats(-1e3, 1e3)))


def test_closed_form_of_the_rotation_weight() -> None:
    a, b = 0.75, 3.0
    W = np.array([[a, -b], [b, a]])
    np.testing.assert_array_equal(symmetric_part(W), a * np.eye(2))
    np.testing.assert_array_equal(antisymmetric_part(W), b * np.array([[0.0, -1.0], [1.0, 0.0]]))


def quadratic_form_is_kept(part, W: np.ndarray, x: np.ndarray) -> None:
    size = len(W)
    scale = float(np.abs(x) @ np.abs(W) @ np.abs(x))
    assert_close(np.vdot(x, part(W) @ x).real, np.vdot(x, W @ x).real, "reduction", n=size**2, scale=scale)


@given(squares, seeds)
def test_law_same_quadratic_form_and_exact_split(W: np.ndarray, seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal(len(W))
    quadratic_form_is_kept(symmetric_part, W, x)
    np.testing.assert_array_equal(symmetric_part(W), symmetric_part(W).T)
    np.testing.assert_array_equal(antisymmetric_part(W), -antisymmetric_part(W).T)
    assert_close(symmetric_part(W) + antisymmetric_part(W), W, scale=float(np.max(np.abs(W))))


@pytest.mark.parametrize("twin", [antisymmetric_part, lambda W: W + W.T, lambda W: (W - W.T) / 2, np.triu])
def test_twin_another_part_changes_the_quadratic_form(twin, rng: np.random.Generator) -> None:
    with pytest.raises(AssertionError, match="largest difference"):
        quadratic_form_is_kept(twin, rng.standard_normal((4, 4)), rng.standard_normal(4))


def energy_rates(omega: np.ndarray, measure: np.ndarray, Z: np.ndarray, W: np.ndarray) -> tuple[float, float]:
    """d/dt (1/2)||Z||^2 in a measure under Z' = (K - I) Z W^T, with W and with its symmetric part."""
    K = omega / np.sum(omega, axis=1, keepdims=True)
    form = Z.T @ (measure[:, None] * (Z - K @ Z))
    return -float(np.trace(form @ W.T)), -float(np.trace(form @ symmetric_part(W)))


@given(seeds, st.integers(2, 8), st.integers(2, 5))
def test_law_energy_rate_needs_only_the_symmetric_part_in_the_degree_measure(seed: int, M: int, C: int) -> None:
    rng = np.random.default_rng(seed)
    X, Z, W = rng.standard_normal((M, 2)), rng.standard_normal((M, C)), rng.standard_normal((C, C))
    omega = np.exp(-0.5 * np.sum((X[:, None] - X[None]) ** 2, axis=-1))
    full, symmetric = energy_rates(omega, np.sum(omega, axis=1), Z, W)
    scale = float(np.sum(omega) * np.sum(Z**2) * np.sum(np.abs(W)))
    assert abs(full - symmetric) <= tolerance("reduction", n=M * C, scale=scale)


def test_twin_the_plain_norm_sees_the_antisymmetric_part(rng: np.random.Generator) -> None:
    X, Z, W = rng.standard_normal((12, 2)), rng.standard_normal((12, 4)), rng.standard_normal((4, 4))
    omega = np.exp(-0.5 * np.sum((X[:, None] - X[None]) ** 2, axis=-1))
    full, symmetric = energy_rates(omega, np.ones(12), Z, W)
    assert abs(full - symmetric) > 1e9 * tolerance("reduction", n=48, scale=abs(full))


@pytest.mark.parametrize("part", [symmetric_part, antisymmetric_part])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
def test_one_definition_on_every_library(part, dtype: type, rng: np.random.Generator) -> None:
    W = rng.standard_normal((3, 4, 4)).astype(dtype)
    if np.iscomplexobj(W):
        W += 1j * rng.standard_normal((3, 4, 4)).astype(W.real.dtype)
    expected = part(W)
    assert expected.dtype == dtype
    np.testing.assert_array_equal(part(torch.from_numpy(W)).numpy(), expected)
    np.testing.assert_array_equal(np.asarray(part(array_api_strict.asarray(W))), expected)


@pytest.mark.parametrize("part", [symmetric_part, antisymmetric_part])
def test_gradients(part) -> None:
    W = torch.randn(2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(7), requires_grad=True)
    assert torch.autograd.gradcheck(part, (W,))
    assert torch.autograd.gradgradcheck(part, (W,))


def test_no_overflow_and_input_untouched() -> None:
    W = np.full((2, 2), 1.5e308)
    before = W.copy()
    np.testing.assert_array_equal(symmetric_part(W), W)
    np.testing.assert_array_equal(W, before)
