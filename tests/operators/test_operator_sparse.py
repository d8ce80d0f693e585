"""Neighbour lists, their memory, and products in any order: each against the dense definition."""

import tracemalloc
from functools import partial

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

import nlmodel.operators.csr_product as product_module
import nlmodel.operators.neighbour_matrix as matrix_module
from nlmodel import NonlocalOperator
from nlmodel.errors import DomainError, DtypeError, NonFiniteError, ShapeError
from nlmodel.kernels import Gaussian, InverseDistance, TopHat, TruncatedGaussian
from nlmodel.operators import SparseAffinity, cells_portable
from nlmodel.operators.cells import Cells
from nlmodel.operators.compiled import profile_of
from nlmodel.operators.growing import Growing
from nlmodel.operators.neighbour_matrix import neighbour_matrix
from nlmodel.testing import adjoint_gap, assert_close, tolerance


WAYS = ("portable", "compiled")
ORDERS = ("user", "cells")


def take(monkeypatch, way: str, order: str = "user") -> None:
    """Force one way of finding and multiplying, and one order of storage, on points however few."""
    for module in (matrix_module, product_module):
        monkeypatch.setattr(module, "COMPILED_FROM", 1 if way == "compiled" else 2**60)
    monkeypatch.setattr(matrix_module, "SORTED_FROM", 1 if order == "cells" else 2**60)
    monkeypatch.setattr(matrix_module, "SCATTERED", 0.0)
    monkeypatch.setattr(matrix_module, "EVALUATED", 1000)
    monkeypatch.setattr(cells_portable, "PAIRS_PER_CHUNK", 2000)


def points(rng, dim: int, kind: str, dtype) -> np.ndarray:
    if kind == "grid":  # many pairs at the horizon to rounding
        axes = [np.arange(round(250 ** (1 / dim)))] * dim
        return (0.1 * np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, dim)).astype(dtype)
    X = rng.uniform(-1, 1, (250, dim))
    if kind == "cluster":
        X[:100] = 0.5 + 1e-3 * rng.standard_normal((100, dim))
        X[100:110] = X[0]
    return X.astype(dtype)


def user_order(matrix: csr_array, order: np.ndarray | None) -> np.ndarray:
    dense = matrix.toarray()
    if order is None:
        return dense
    result = np.empty_like(dense)
    result[np.ix_(order, order)] = dense
    return result


def assert_compiled(entries: np.ndarray, dense: np.ndarray, kernel: TruncatedGaussian) -> None:
    """The accuracy that the assembly promises, entry by entry; subnormal ones may be 0."""
    smallest = 1.01 * kernel.constant * np.finfo(dense.dtype).smallest_normal
    small = dense < smallest
    assert np.all(entries[small] <= smallest)
    exact, found = dense[~small], entries[~small]
    exponents = np.abs(np.log(exact / exact.dtype.type(kernel.constant)))
    assert np.all(np.abs(found / exact - 1) <= 4 * np.finfo(dense.dtype).eps * (1 + exponents))
    assert not np.all(found == exact) or len(exact) < 100  # control: other arithmetic than the definition's


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("kind", ["scattered", "grid", "cluster"])
def test_the_matrix_is_the_dense_one(rng, monkeypatch, kind, dim, way, order):
    take(monkeypatch, way, order)
    for dtype in (np.float64, np.float32):
        X = points(rng, dim, kind, dtype)
        for kernel in (InverseDistance(0.3, dim), TruncatedGaussian(10.0 if dim == 2 else 0.2, 0.05, dim)):
            if kind == "cluster" and isinstance(kernel, InverseDistance) and dtype is np.float32:
                continue  # 1/r of rounding
            matrix, found = neighbour_matrix(X, kernel)
            assert (found is not None) == (order == "cells")
            assert matrix.has_canonical_format and matrix.indices.dtype == matrix.indptr.dtype == np.int32
            assert np.all(matrix.data != 0) and matrix.dtype == dtype
            dense, entries = kernel(X), user_order(matrix, found)
            assert np.array_equal(entries, entries.T)
            if way == "compiled" and profile_of(kernel, X):
                assert_compiled(entries, dense, kernel)
            else:
                assert np.array_equal(entries, dense)
    assert not np.array_equal(user_order(matrix, found), dense[::-1])  # control


@pytest.mark.parametrize("way", WAYS)
def test_a_narrower_ball_misses_the_pairs_at_the_horizon(rng, monkeypatch, way):
    """Control of the closed ball: without the slack of the kernel, grid points at the horizon are lost to rounding."""
    take(monkeypatch, way)
    X, kernel = points(rng, 2, "grid", np.float64), TopHat(0.3, 2)
    full = neighbour_matrix(X, kernel)[0]
    assert np.array_equal(full.toarray(), kernel(X))
    monkeypatch.setattr(matrix_module, "largest_square", lambda X, kernel: np.float64(kernel.horizon**2))
    assert neighbour_matrix(X, kernel)[0].nnz < full.nnz


@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e150])
@pytest.mark.parametrize("way", WAYS)
def test_units_of_length_and_far_outliers_do_not_matter(rng, monkeypatch, way, scale):
    take(monkeypatch, way)
    X = scale * rng.uniform(0, 1, (60, 2))
    X[0] = scale * 1e6
    kernel = TopHat(0.2 * scale, 2, scaled=False)
    assert np.array_equal(neighbour_matrix(X, kernel)[0].toarray() != 0, TopHat(0.2, 2)(X / scale) != 0)


def test_ways_agree_and_points_may_lie_anyhow_in_memory(rng, monkeypatch):
    X, kernel = points(rng, 3, "scattered", np.float64), TopHat(0.5, 3)
    take(monkeypatch, "compiled")
    wanted = neighbour_matrix(X, kernel)[0]
    take(monkeypatch, "portable")
    read_only = X.copy()
    read_only.setflags(write=False)
    for given in (X, X.astype(">f8"), np.asfortranarray(X), read_only, np.repeat(X, 2, axis=0)[::2]):
        found = neighbour_matrix(given, kernel)[0]
        assert np.array_equal(found.toarray(), wanted.toarray())


def test_without_numba_nothing_is_lost(rng, monkeypatch):
    X, Z = rng.uniform(0, 1, (6000, 2)), rng.standard_normal((6000, 16))
    kernel = TopHat(0.05, 2)
    wanted = NonlocalOperator.from_points(X, kernel, storage="sparse")
    first = wanted @ Z
    for module in (matrix_module, product_module):
        monkeypatch.setattr(module, "compiled", lambda name: None)
    op = NonlocalOperator.from_points(X, kernel, storage="sparse")
    assert np.array_equal(op.averaging.stored.indices, wanted.averaging.stored.indices)
    assert_close(op @ Z, first, "reduction", n=64, scale=8.0)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_products_are_the_dense_ones(rng, monkeypatch, dtype, way, order):
    """K, its transpose, L: vectors, 3 and 19 columns, batches, weights, views, and torch with its gradient."""
    take(monkeypatch, way, order)
    X, w = points(rng, 2, "scattered", dtype), rng.uniform(0.5, 2, 250).astype(dtype)
    for how in ("none", "row", "symmetric", "alpha"):
        op = NonlocalOperator.from_points(X, TopHat(0.4, 2, scaled=False), how, storage="sparse", weights=w)
        dense = NonlocalOperator.from_points(X, TopHat(0.4, 2, scaled=False), how, storage="dense", weights=w)
        K, L = dense.averaging.to_dense(), dense.to_dense()
        scale = 4 * float(np.max(np.abs(K).sum(1)))
        check_close = partial(assert_close, kind="reduction", n=300, scale=8 * scale)
        for shape in ((250,), (250, 3), (250, 19), (2, 250, 3)):
            Z = rng.standard_normal(shape).astype(dtype)
            before = Z.copy()
            check_close(op.average(Z), K @ Z)
            check_close(op @ Z, L @ Z)
            check_close(op.T @ Z, L.T @ Z)
            assert np.array_equal(Z, before)
        wide = rng.standard_normal((19, 500)).astype(dtype)[:, ::2].T
        check_close(op @ wide, L @ wide)
        check_close(op.averaging.to_csr().toarray(), K)
        check_close(op.averaging.matrix.toarray(), K)
        check_close(op.diagonal(), np.diag(K))
        field = torch.from_numpy(Z).requires_grad_()
        (op @ field).square().sum().backward()
        check_close(op.averaging.apply(field.detach()).numpy(), K @ Z)
        assert_close(field.grad.numpy(), 2 * L.T @ (L @ Z), "reduction", n=900, scale=64 * scale**2)
        assert adjoint_gap(op, rng=rng) <= tolerance("reduction", dtype, n=300, scale=4 * scale)
        apart = np.max(np.abs(op.average(wide) - K.T @ wide))
        assert apart > tolerance("reduction", dtype, n=300, scale=8 * scale)  # control: weights differ


def test_matrices_of_the_user_are_multiplied_by_all_cores(rng, monkeypatch):
    A = np.where(rng.uniform(0, 1, (80, 80)) < 0.2, rng.standard_normal((80, 80)), 0.0)
    Z = rng.standard_normal((80, 11))
    monkeypatch.setattr(product_module, "COMPILED_FROM", 1)
    K = SparseAffinity.from_matrix(csr_array(A))
    assert_close(K.apply(Z), A @ Z, "reduction", n=80, scale=16.0)
    assert_close(K.apply_transposed(Z), A.T @ Z, "reduction", n=80, scale=16.0)
    assert np.max(np.abs(K.apply(Z) - A.T @ Z)) > 1e-2  # control
    empty = SparseAffinity.from_matrix(csr_array((80, 80)))
    assert np.all(empty.apply(Z) == 0)


def test_scalings_beyond_the_range_go_into_the_entries():
    """Entries of 1e-200 and potentials of e^660: a product with omega alone would underflow."""
    omega = csr_array(1e-200 * np.ones((4, 4)))
    left, right = np.full(4, 460.0), np.array([0.0, 200.0, 0.0, -200.0])
    K = SparseAffinity.from_matrix(omega).rescaled(left, right)
    assert K.left is None and K.right is None
    expected = np.exp(left[:, None] + right + np.log(1e-200))
    assert_close(K.to_dense() / expected, np.ones((4, 4)), "reduction", n=1000)
    near = SparseAffinity.from_matrix(omega).rescaled(left / 10, right / 10)
    assert near.left is not None and near.stored.nnz == 16  # control: within the range nothing is copied
    assert_close(near.rescaled(-left / 10, -right / 10).to_dense() * 1e200, np.ones((4, 4)), "reduction", n=100)


def test_scattered_points_are_stored_in_the_order_of_their_cells(rng):
    X = rng.uniform(0, 1, (10_000, 2))
    cells = Cells.of(X, 0.02)
    assert np.array_equal(np.sort(cells.order), np.arange(10_000))
    assert NonlocalOperator.from_points(X, TopHat(0.02, 2)).averaging.order is not None
    assert NonlocalOperator.from_points(X[cells.order], TopHat(0.02, 2)).averaging.order is None  # control


def test_chunks_stay_short_where_points_are_dense(rng):
    X = rng.uniform(0, 1, (4000, 2))
    X[:800] = 0.5 + 1e-4 * rng.standard_normal((800, 2))
    cells = Cells.of(X, 0.01)
    rows = np.arange(4000)
    counts = cells.candidates[cells.cell]
    chunks = cells.chunks(rows, 100_000)
    assert max(int(np.sum(counts[part])) for part, _ in chunks) <= 100_000
    assert np.array_equal(np.concatenate([rows[part] for part, _ in chunks]), rows)
    shares = [share for _, share in chunks]
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert [part.stop - part.start for part, _ in cells.chunks(rows[:5], 1)] == [1] * 5
    assert np.max(np.convolve(counts, np.ones(int(100_000 / np.mean(counts))))) > 200_000  # control: equal chunks


def test_an_array_grows_to_what_was_put_into_it(rng):
    parts = [rng.standard_normal(n) for n in (3, 0, 100, 7)]
    growing = Growing(np.dtype(float))
    for k, part in enumerate(parts):
        growing.append(part, (k + 1) / 4)
    assert np.array_equal(growing.whole(), np.concatenate(parts))


def test_assembly_needs_little_more_than_the_matrix(rng):
    X = rng.uniform(0, 1, (60_000, 2))
    kernel = TopHat(0.012, 2)
    neighbour_matrix(X[:6000], kernel)  # compiles
    tracemalloc.start()
    matrix, order = neighbour_matrix(X, kernel)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    finished = matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes
    assert matrix.nnz > 1_000_000 and matrix.indices.dtype == np.int32
    assert finished + order.nbytes <= peak <= 1.25 * finished
    assert Cells.index(2**31 - 1) is np.int32 and Cells.index(2**31) is np.int64


class Spoiled(TopHat):
    """Not finite in the middle of the ball."""

    def unscaled(self, square):
        return np.where(square > 0.01, np.nan, 1.0)


@pytest.mark.parametrize(
    ("X", "kernel", "error", "words"),
    [
        (np.zeros((2, 3, 2)), TopHat(0.1, 2), DtypeError, "one NumPy array"),
        (torch.zeros(3, 2), TopHat(0.1, 2), DtypeError, "one NumPy array"),
        (np.zeros((3, 2)), Gaussian(1.0), DomainError, "finite horizon"),
        (np.zeros((3, 2)), TruncatedGaussian(np.inf, 1.0, 2), DomainError, "finite horizon"),
        (np.zeros((3, 2)), TopHat(0.1, 3), ShapeError, "vectors of length 3"),
        (np.zeros((0, 2)), TopHat(0.1, 2), ShapeError, "must not be empty"),
        (np.full((3, 2), np.nan), TopHat(0.1, 2), NonFiniteError, "X must be finite"),
        (np.zeros((3, 2), dtype=int), TopHat(0.1, 2), DtypeError, "floating-point"),
        (0.1 * np.arange(6.0)[:, None], Spoiled(0.3), NonFiniteError, "NaN or infinity"),
    ],
)
def test_what_cannot_be_stored_is_refused(X, kernel, error, words):
    with pytest.raises(error, match=words):
        NonlocalOperator.from_points(X, kernel, storage="sparse")
