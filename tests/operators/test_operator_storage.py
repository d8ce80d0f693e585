"""What is particular to sparse and grid storage: canonical form, chunks, memory, long reach, units of length."""

import math

import numpy as np
import pytest
from scipy.sparse import csr_array

import nlmodel.operators.grid as grid_module
from nlmodel import NonlocalOperator
from nlmodel.kernels import Exponential, TopHat, TruncatedGaussian
from nlmodel.testing import assert_close, tolerance


def test_duplicates_zeros_and_unsorted_or_long_indices_are_one_matrix(rng):
    values, columns = np.array([1.0, 2.0, 1.0, 0.0, 1.0, -1.0, 3.0, 3.0]), np.array([1, 0, 2, 0, 1, 2, 2, 0])
    messy = csr_array((values, columns, np.array([0, 3, 5, 8])), shape=(3, 3))
    long = csr_array(messy)
    long.indices, long.indptr = long.indices.astype(np.int64), long.indptr.astype(np.int64)
    dense = messy.toarray()
    Z = rng.standard_normal((3, 2))
    for given in (messy, messy.tocoo(), messy.tocsc(), long):
        op = NonlocalOperator.from_affinity(given, "none")
        assert op.averaging.to_csr().has_canonical_format and op.averaging.to_csr().nnz == np.count_nonzero(dense)
        assert_close(op @ Z, dense @ Z - dense.sum(1)[:, None] * Z, "reduction", n=6, scale=16.0)
    assert messy.nnz == 8  # the matrix of the user is as it was


def test_symmetry_of_a_sparse_matrix_is_judged_row_by_row(rng):
    lopsided, even = rng.uniform(0.1, 1, (4, 4)), np.full((4, 4), 1e20)
    block = np.block([[even, np.zeros((4, 4))], [np.zeros((4, 4)), lopsided]])
    assert not NonlocalOperator.from_affinity(csr_array(block)).reversible
    block[4:, 4:] += lopsided.T
    assert NonlocalOperator.from_affinity(csr_array(block)).reversible


def summed_over_images(kernel, n: int, h: float, images: int) -> np.ndarray:
    i = np.arange(n)
    gaps = i[:, None] - i[None]
    return sum(kernel.profile(h * np.abs(gaps + n * k).astype(float)) for k in range(-images, images + 1))


@pytest.mark.parametrize("kernel", [TopHat(2.31), TruncatedGaussian(math.inf, 0.4), Exponential(math.inf, 0.2)])
def test_a_kernel_that_reaches_around_the_domain(kernel):
    """Horizon three times the period, or all space: every image counts."""
    op = NonlocalOperator.on_grid(7, kernel, 0.1)
    expected = 0.1 * summed_over_images(kernel, 7, 0.1, 25)
    size = float(np.max(expected))
    assert np.max(np.abs(op.averaging.to_dense() - expected)) <= tolerance("reduction", n=400, scale=size)
    assert np.max(np.abs(op.diagonal() - np.diag(expected))) <= tolerance("reduction", n=400, scale=size)
    nearest = 0.1 * summed_over_images(kernel, 7, 0.1, 1)
    assert np.max(np.abs(nearest - expected)) > 1e-3 * size  # control


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_units_of_length_do_not_matter(unit):
    """A kernel on all space is cut where it is small beside itself, not beside 1."""

    def slowest(unit: float) -> float:
        kernel = TruncatedGaussian(math.inf, unit)
        op = NonlocalOperator.on_grid(64, kernel, 0.25 * unit)
        wave = np.sin(2 * np.pi * np.arange(64) / 64)
        return float(wave @ (op @ wave)) / float(wave @ wave) * unit**2

    k = 2 * np.pi / 16
    symbol = float(TruncatedGaussian(math.inf, 1.0).symbol(np.array([k]))[0])
    assert abs(slowest(unit) - slowest(1.0)) <= tolerance("reduction", n=64)
    assert abs(slowest(1.0) - symbol) <= tolerance("reduction", n=256)


@pytest.mark.parametrize("boundary", ["periodic", "free"])
def test_the_stencil_is_the_same_slab_by_slab(monkeypatch, boundary):
    def made():
        return NonlocalOperator.on_grid((5, 4), TopHat(0.7, 2), (0.1, 0.2), boundary=boundary)

    whole = made().averaging.symbol
    monkeypatch.setattr(grid_module, "OFFSETS_PER_SLAB", 3)
    assert_close(made().averaging.symbol, whole, "reduction", n=64)


def test_spacing_may_differ_by_axis(rng):
    """Anisotropic cells against points at the same places."""
    shape, spacing = (4, 5), (0.1, 0.25)
    kernel = TruncatedGaussian(0.5, 0.2, 2)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).reshape(-1, 2)
    points = NonlocalOperator.from_points(index * np.array(spacing), kernel, "alpha", weights=0.025)
    grid = NonlocalOperator.on_grid(shape, kernel, spacing, boundary="free", normalize="alpha")
    assert_close(grid.to_dense(), points.to_dense(), "reduction", n=128, scale=4.0)
    turned = NonlocalOperator.on_grid(shape, kernel, spacing[::-1], boundary="free", normalize="alpha")
    assert np.max(np.abs(turned.to_dense() - points.to_dense())) > 1e-2  # control


def test_a_single_cell():
    for boundary in ("periodic", "free"):
        op = NonlocalOperator.on_grid(1, TopHat(0.3), 0.1, boundary=boundary, normalize="row")
        assert abs(float((op @ np.ones(1))[0])) <= tolerance("elementwise")
