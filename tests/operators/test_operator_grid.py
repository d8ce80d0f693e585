"""The convolution in place: equal to the transforms one after the other, whatever the shape, the tiles, the threads."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

import nlmodel.operators.grid_columns as columns_module
import nlmodel.operators.grid_product as product_module
import nlmodel.operators.grid_stencil as stencil_module
from nlmodel import NonlocalOperator
from nlmodel.kernels import TopHat, TruncatedGaussian
from nlmodel.operators.threads import cores
from nlmodel.testing import assert_close, tolerance


SHAPES = [(1,), (2,), (3,), (40,), (45,), (7, 1), (1, 6), (8, 12), (9, 15), (16, 2), (4, 3, 5), (6, 4, 8), (1, 5, 1)]


@pytest.fixture(autouse=True)
def transforms(monkeypatch) -> None:
    """Nothing is summed directly."""
    monkeypatch.setattr(stencil_module, "MOST_OPERATIONS", 0)


@pytest.fixture(params=["compiled", "portable"])
def tiny_tiles(request, monkeypatch) -> None:
    """Several tiles on every thread, on grids of a few positions."""
    monkeypatch.setattr(product_module, "SERIAL_BYTES", 0)
    monkeypatch.setattr(product_module, "TILE_BYTES", 400)
    if request.param == "portable":
        monkeypatch.setattr(columns_module, "compiled", lambda name: None)


def operator(shape: tuple[int, ...], boundary: str = "periodic", dtype: type = np.float64, **more) -> NonlocalOperator:
    kernel = TruncatedGaussian(0.25, 0.15, len(shape))
    return NonlocalOperator.on_grid(shape, kernel, 0.1, boundary=boundary, dtype=dtype, **more)


def one_after_the_other(op: NonlocalOperator, Z: np.ndarray) -> np.ndarray:
    """K Z - exit rate Z with the transforms of torch."""
    return (
        op.averaging.apply(torch.from_numpy(Z)) - torch.from_numpy(op.exit_rate)[:, None] * torch.from_numpy(Z)
    ).numpy()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("boundary", ["periodic", "free"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_in_place_equals_one_after_the_other(tiny_tiles, shape, boundary, dtype, rng):
    for how in ("none", "row"):
        op = operator(shape, boundary, dtype, normalize=how)
        for lead in ((), (2,)):
            Z = rng.standard_normal((*lead, op.size, 3)).astype(dtype)
            kept, expected = Z.copy(), one_after_the_other(op, Z)
            scale = 8 * float(np.max(np.abs(op.exit_rate)))
            assert_close(op.apply(Z), expected, "reduction", n=16, scale=scale)
            assert_close(op.average(Z), op.averaging.apply(torch.from_numpy(Z)).numpy(), "reduction", n=16, scale=scale)
            assert_close(
                op.apply(Z[..., ::-1, :]),
                one_after_the_other(op, Z[..., ::-1, :].copy()),
                "reduction",
                n=16,
                scale=scale,
            )
            assert np.array_equal(Z, kept)


@pytest.mark.parametrize("shape", [(9,), (8, 6), (4, 3, 5)], ids=str)
def test_the_transpose_is_that_of_the_matrix(tiny_tiles, shape, rng):
    op = operator(shape, "free", normalize="row")
    Z = rng.standard_normal((op.size, 2))
    assert_close(op.T @ Z, op.to_dense().T @ Z, "reduction", n=64, scale=8.0)
    assert np.max(np.abs(op @ Z - op.T @ Z)) > 1e-3  # control: it is not symmetric


def test_a_symbol_that_is_not_transposed_is_found_out(tiny_tiles, monkeypatch, rng):
    """Control: the first two axes of the symbol exchanged."""
    op, Z = operator((6, 6, 8)), rng.standard_normal((288, 1))
    kernel = TruncatedGaussian(0.25, 0.15, 3)
    op = NonlocalOperator.on_grid((6, 6, 8), kernel, (0.1, 0.2, 0.1))
    right = op.apply(Z)
    op.averaging.__dict__["_symbol_less_rate"] = np.swapaxes(op.averaging._symbol_less_rate, 1, 2).copy()
    assert np.max(np.abs(op.apply(Z) - right)) > 1e-3


def test_real_sizes_and_real_tiles(rng):
    for shape in ((300, 257), (512, 512), (40, 64, 50)):
        op = operator(shape)
        Z = rng.standard_normal((op.size, 1))
        scale = 16 * float(np.max(op.exit_rate))
        assert_close(op.apply(Z), one_after_the_other(op, Z), "reduction", n=16, scale=scale)


def test_a_product_allocates_its_result_and_tiles(rng):
    for boundary in ("periodic", "free"):
        op = operator((1024, 512), boundary)
        v = rng.standard_normal(op.size)
        op @ v  # modules, symbols, the padded field that is kept
        tracemalloc.start()
        result = op @ v
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        rates = 0 if boundary == "periodic" else 3  # tiles that scalings need for a moment
        assert peak <= result.nbytes + (1 + rates) * 2 * cores() * product_module.TILE_BYTES
        assert peak < 3 * result.nbytes  # control: transform, product and inverse need that


def test_one_operator_may_be_used_by_many_threads(rng):
    op = operator((64, 96), "free", normalize="row")
    fields = [rng.standard_normal((op.size, 1)) for _ in range(8)]
    expected = [op @ Z for Z in fields]
    with ThreadPoolExecutor(4) as pool:
        for found, right in zip(pool.map(op.__matmul__, fields * 4), expected * 4, strict=True):
            assert np.array_equal(found, right)


@pytest.mark.parametrize(("n", "horizon", "reach"), [(50, 0.25, 2), (64, 0.1, 1), (100, 1.05, 10)])
def test_a_free_boundary_is_padded_with_the_horizon_only(n, horizon, reach):
    op = NonlocalOperator.on_grid((n, n), TopHat(horizon, 2), 0.1, boundary="free")
    (padded, _) = op.averaging.padded
    assert n + reach <= padded <= 1.1 * (n + reach + 1)
    assert padded < 2 * n  # control: what padding with the whole domain would take


def test_one_rate_is_taken_into_the_symbol_and_another_is_not(rng):
    op = operator((12, 10))
    K, Z = op.averaging, rng.standard_normal((120, 2))
    assert K.rate is op.exit_rate
    other = rng.uniform(1, 2, 120)
    for rate in (op.exit_rate, op.exit_rate.copy(), other, 2 * op.exit_rate):
        for less, plain in ((K.apply_less, K.apply), (K.apply_transposed_less, K.apply_transposed)):
            assert_close(less(Z, rate), plain(Z) - rate[:, None] * Z, "reduction", n=16, scale=100.0)
    assert np.max(np.abs(K.apply_less(Z, other) - op.apply(Z))) > 0.1  # control


@pytest.mark.parametrize("how", ["none", "row", "sinkhorn", "alpha"])
def test_on_a_torus_scalings_are_numbers(how, rng):
    op = operator((12, 10), normalize=how)
    assert op.averaging.left is None and op.averaging.right is None
    assert np.ptp(op.exit_rate) == 0
    assert np.max(np.abs(op @ np.ones(120))) <= tolerance("reduction", n=8, scale=float(op.exit_rate[0]))
    uneven = operator((12, 10), normalize=how, weights=rng.uniform(1, 2, 120))
    assert uneven.averaging.right is not None  # control
