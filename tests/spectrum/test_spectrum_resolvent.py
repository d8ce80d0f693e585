"""Pseudospectra: at most the distance to the spectrum, and equal to it only for normal matrices."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nlmodel.errors import DomainError
from nlmodel.spectrum import (
    pseudospectral_abscissa,
    pseudospectral_radius,
    pseudospectrum,
    tensor_pseudospectrum,
)
from nlmodel.spectrum import resolvent as module
from nlmodel.testing import tolerance


seeds = st.integers(0, 2**32 - 1)


def draw_points(rng: np.random.Generator, n: int = 20) -> np.ndarray:
    return rng.standard_normal(n) + 1j * rng.standard_normal(n)


def distance(G: np.ndarray, z: np.ndarray) -> np.ndarray:
    return np.min(np.abs(z[:, None] - np.linalg.eigvals(G)[None]), axis=1)


@given(seeds, st.integers(1, 5))
def test_law_at_most_the_distance_to_the_spectrum_and_lipschitz(seed: int, N: int) -> None:
    rng = np.random.default_rng(seed)
    values, vectors = draw_points(rng, N), rng.standard_normal((N, N))
    unitary = np.linalg.qr(vectors)[0]
    z = draw_points(rng)
    slack = tolerance("solve", n=N, scale=10)
    normal = unitary @ np.diag(values) @ unitary.T
    exact = np.min(np.abs(z[:, None] - values[None]), axis=1)
    assert np.max(np.abs(pseudospectrum(normal, z) - exact)) <= slack
    skewed = unitary @ (np.diag(values) + np.triu(vectors, 1)) @ unitary.T
    below = pseudospectrum(skewed, z)
    assert np.all(below <= exact + slack)
    assert np.all(np.abs(np.diff(below)) <= np.abs(np.diff(z)) + slack)


def test_twin_equality_fails_without_normality() -> None:
    G = np.array([[0.5, 20.0], [0.0, 0.5]])
    z = np.array([1.0, 0.5 + 1j])
    assert np.all(pseudospectrum(G, z) < 0.1 * distance(G, z))


def test_it_is_the_smallest_perturbation_that_makes_z_an_eigenvalue(rng: np.random.Generator) -> None:
    G, z = rng.standard_normal((4, 4)), 0.3 + 0.8j
    left, size, right = np.linalg.svd(z * np.eye(4) - G)
    perturbed = G + size[-1] * np.outer(left[:, -1], right[-1])
    assert abs(float(pseudospectrum(G, np.array(z))) - size[-1]) <= tolerance("solve", n=4, scale=size[0])
    gap = np.min(np.abs(np.linalg.eigvals(perturbed) - z))
    assert gap <= tolerance("solve", n=4, scale=size[0], cond=float(np.linalg.cond(np.linalg.eig(perturbed)[1])))
    inverse = 1 / np.linalg.norm(np.linalg.inv(z * np.eye(4) - G), 2)
    assert abs(inverse - size[-1]) <= tolerance("solve", n=4, scale=size[-1], cond=size[0] / size[-1])


@given(seeds, st.integers(1, 3), st.integers(1, 4))
def test_law_tensor_form_equals_the_kronecker_matrix(seed: int, C: int, M: int) -> None:
    rng = np.random.default_rng(seed)
    W, omega, z = rng.standard_normal((C, C)), rng.random((M, M)), draw_points(rng, 6)
    K = (omega + omega.T) / (2 * M)
    whole = pseudospectrum(np.kron(W, K - np.eye(M)), z)
    split = tensor_pseudospectrum(W, 1 - np.linalg.eigvalsh(K), z)
    assert np.max(np.abs(whole - split)) <= tolerance("solve", n=C * M, scale=5 + 2 * float(np.linalg.norm(W, 2)))


def test_twin_the_other_sign_of_s_is_another_operator(rng: np.random.Generator) -> None:
    W, K = rng.standard_normal((3, 3)), np.full((4, 4), 0.25)
    s, z = 1 - np.linalg.eigvalsh(K), draw_points(rng)
    whole = pseudospectrum(np.kron(W, K - np.eye(4)), z)
    assert np.max(np.abs(whole - tensor_pseudospectrum(W, s, z))) <= tolerance("solve", n=12, scale=10)
    assert np.max(np.abs(whole - tensor_pseudospectrum(W, -s, z))) > 0.01


def test_twin_a_nonsymmetric_kernel_does_not_split(rng: np.random.Generator) -> None:
    W, K = rng.standard_normal((3, 3)), np.array([[0.5, 8.0], [0.0, 0.25]])
    z = draw_points(rng)
    whole = pseudospectrum(np.kron(W, K - np.eye(2)), z)
    assert np.max(np.abs(whole - tensor_pseudospectrum(W, 1 - np.diag(K), z))) > 0.01


@given(st.floats(0, 0.9), st.floats(0, 2 * math.pi), st.floats(0, 10), st.floats(1e-3, 2))
def test_law_the_pseudospectrum_of_a_jordan_block_is_a_disc(
    radius: float, angle: float, coupling: float, epsilon: float
) -> None:
    value = radius * np.exp(1j * angle)
    A = np.array([[value, coupling], [0, value]])
    reach = math.sqrt(epsilon * (epsilon + coupling))
    slack = tolerance("solve", n=2, scale=20, cond=1 + (coupling + 1) / epsilon) + 1e-12 * 20
    assert abs(pseudospectral_abscissa(A, epsilon) - (value.real + reach)) <= slack
    assert abs(pseudospectral_radius(A, epsilon) - (abs(value) + reach)) <= slack


def test_twin_normality_would_give_a_smaller_disc() -> None:
    A = np.array([[0.5, 10.0], [0.0, 0.5]])
    assert pseudospectral_abscissa(A, 0.1) > 0.5 + 0.1 + 0.5
    assert abs(pseudospectral_abscissa(np.diag([0.5, -3.0]), 0.1) - 0.6) <= tolerance("solve", n=2, scale=3)


def test_criss_cross_beats_every_point_of_a_grid(rng: np.random.Generator) -> None:
    A = rng.standard_normal((6, 6))
    x = np.linspace(-6, 6, 121)
    grid = x[None] + 1j * x[:, None]
    sigma = pseudospectrum(A, grid)
    for epsilon in (0.1, 0.5, 1.0):
        inside = grid[sigma < epsilon]
        for found, best in (
            (pseudospectral_abscissa(A, epsilon), np.max(inside.real)),
            (pseudospectral_radius(A, epsilon), np.max(np.abs(inside))),
        ):
            assert best <= found <= best + 0.2


def test_chunks_libraries_and_shapes(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    G, z = rng.standard_normal((4, 4)), draw_points(rng, 21).reshape(3, 7)
    whole = pseudospectrum(G, z)
    assert whole.shape == (3, 7)
    monkeypatch.setattr(module, "CHUNK", 40)
    np.testing.assert_array_equal(pseudospectrum(G, z), whole)
    np.testing.assert_array_equal(pseudospectrum(torch.from_numpy(G), torch.from_numpy(z)), whole)
    assert pseudospectrum(G.astype(np.float32), z.astype(np.complex64)).dtype == np.float32
    for function in (pseudospectral_abscissa, pseudospectral_radius):
        with pytest.raises(DomainError, match="epsilon must be > 0"):
            function(G, 0.0)
