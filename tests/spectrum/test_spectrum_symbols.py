"""The discrete symbol: DFT of a stencil = eigenvalues of its circulant, and the analytic lattice symbol."""

import mpmath
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from nlmodel.errors import DomainError
from nlmodel.spectrum import discrete_symbol
from nlmodel.testing import assert_close, tolerance


def exponential_stencil(h: float, N: int) -> np.ndarray:
    """(h/2) e^{-|x|} on the lattice hZ, summed over the periodic images, minus the identity."""
    j = np.arange(N)
    stencil = 0.5 * h * np.cosh(h * (N / 2 - j)) / np.sinh(h * N / 2)
    stencil[0] -= 1
    return stencil


def exponential_symbol(h: float, N: int) -> np.ndarray:
    kh = 2 * np.pi * np.arange(N) / N
    return 0.5 * h * np.sinh(h) / (np.cosh(h) - np.cos(kh)) - 1


@pytest.mark.parametrize(("h", "N"), [(0.1, 64), (0.5, 25), (1.5, 2), (0.05, 301)])
def test_exponential_kernel_on_the_lattice(h: float, N: int) -> None:
    assert_close(discrete_symbol(exponential_stencil(h, N)), exponential_symbol(h, N), "solve", n=N)


def test_exponential_symbol_by_fifty_digits() -> None:
    h, N = 0.3, 12
    with mpmath.workdps(50):
        H, whole_line = mpmath.mpf(h), [-mpmath.inf, mpmath.inf]
        angles = [2 * mpmath.pi * k / N for k in range(0, N, 4)]
        sums = [mpmath.nsum(lambda j, s=s: mpmath.exp(-H * abs(j)) * mpmath.cos(j * s), whole_line) for s in angles]
        exact = [float(H / 2 * total - 1) for total in sums]
    assert_close(exponential_symbol(h, N)[::4], np.array(exact), "solve", n=N)


def test_twins_of_the_exponential_symbol() -> None:
    h, N = 0.5, 25
    for wrong in (exponential_stencil(h, N) * h, exponential_stencil(2 * h, N), 0.5 * h * np.exp(-h * np.arange(N))):
        even = 0.5 * (wrong + np.roll(wrong[::-1], 1))
        with pytest.raises(AssertionError, match="largest difference"):
            assert_close(discrete_symbol(even), exponential_symbol(h, N), "solve", n=N)


def test_constants_need_the_discrete_row_sum_not_the_continuum_mass() -> None:
    h, N = 0.5, 64
    stencil = exponential_stencil(h, N)
    assert abs(discrete_symbol(stencil)[0] - (0.5 * h / np.tanh(0.5 * h) - 1)) <= tolerance("solve", n=N)
    assert discrete_symbol(stencil)[0] > h**2 / 12 - h**4 / 720
    stencil[0] -= np.sum(stencil)
    assert abs(discrete_symbol(stencil)[0]) <= tolerance("reduction", n=N)


@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_law_symbol_is_the_spectrum_of_the_circulant(seed: int, N: int) -> None:
    half = np.random.default_rng(seed).standard_normal(N)
    stencil = 0.5 * (half + np.roll(half[::-1], 1))
    expected = np.linalg.eigvalsh(scipy.linalg.circulant(stencil))
    assert_close(np.sort(discrete_symbol(stencil)), expected, "solve", n=N, scale=float(np.sum(np.abs(stencil))))


def test_products_in_two_dimensions() -> None:
    a, b = exponential_stencil(0.5, 6), exponential_stencil(0.2, 9)
    expected = np.outer(discrete_symbol(a), discrete_symbol(b))
    assert_close(discrete_symbol(np.outer(a, b)), expected, "solve", n=54)
    single = discrete_symbol(a.astype(np.float32))
    assert single.dtype == np.float32


@pytest.mark.parametrize("stencil", [np.array([0.0, 1.0, 0.0]), np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])])
def test_one_sided_stencils_are_refused(stencil: np.ndarray) -> None:
    with pytest.raises(DomainError, match=r"stencil must be even: got max \|c_j - c_\(-j\)\| = 1"):
        discrete_symbol(stencil)
