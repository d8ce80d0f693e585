"""Tiles of the Gaussian of points in single precision, whose exponents come from products in double precision."""

import numpy as np
import pytest

from nlmodel import NonlocalOperator
from nlmodel.kernels import Gaussian
from nlmodel.operators import compiled
from nlmodel.operators.tiles import single_precision_tiles, tiles_in_place, tiles_of
from nlmodel.testing import assert_close, tolerance


WHOLE = slice(None), slice(None)


def exact(kernel: Gaussian, X: np.ndarray) -> np.ndarray:
    return kernel.evaluate(X.astype(np.float64), X.astype(np.float64))


def points(rng, M=200, dim=3, offset=0.0) -> np.ndarray:
    return (offset + rng.standard_normal((M, dim))).astype(np.float32)


def worst(found: np.ndarray, true: np.ndarray) -> float:
    """The largest relative error beside that of a rounded exponent."""
    allowed = 1 - np.log(true)
    return float(np.max(np.abs(found - true) / true / allowed))


@pytest.mark.parametrize("dim", [1, 3, 20])
@pytest.mark.parametrize("scale", [0.3, 1.0, 50.0])
def test_they_are_the_kernel(dim, scale, rng):
    X, kernel = points(rng, dim=dim) / np.float32(np.sqrt(dim)), Gaussian(scale)
    tiles = single_precision_tiles(kernel, X)
    assert tiles is not None
    found, true = tiles(*WHOLE), exact(kernel, X)
    assert found.dtype == np.float32
    near = true > 1e-30
    assert worst(found[near].astype(np.float64), true[near]) <= tolerance("elementwise", np.float32)
    part = tiles(slice(30, 77), slice(100, 200))
    assert_close(part, found[30:77, 100:200], "elementwise", scale=64.0)
    shifted = kernel.evaluate(X[1:], X[:-1])
    assert np.max(np.abs(shifted - found[:-1, 1:])) > 1e-6  # control: other pairs


def test_points_far_from_the_origin_lose_nothing(rng):
    X, kernel = points(rng, offset=1e4), Gaussian(1.0)
    tiles = single_precision_tiles(kernel, X)
    assert tiles is not None
    allowed = tolerance("elementwise", np.float32)
    assert worst(tiles(*WHOLE).astype(np.float64), exact(kernel, X)) <= allowed
    square = np.sum(X * X, axis=1)
    expanded = np.exp(-0.5 * (square[:, None] + square - 2 * X @ X.T))
    assert worst(expanded.astype(np.float64), exact(kernel, X)) > 1e3 * allowed  # control: in single precision


def test_points_far_apart_and_those_in_double_precision_take_the_definition(rng):
    far = points(rng)
    far[0] = 3e5
    assert single_precision_tiles(Gaussian(1.0), far) is None
    assert single_precision_tiles(Gaussian(1e4), far) is not None
    assert single_precision_tiles(Gaussian(1.0), points(rng).astype(np.float64)) is None


@pytest.mark.parametrize("scale", [1e-200, 1e-160, 1e-30, 1e30, 1e160, 1e200])
def test_scales_beyond_all_numbers_are_those_of_the_definition(scale, rng):
    X, kernel = points(rng), Gaussian(scale)
    tile = tiles_of(kernel, X)(*WHOLE)
    assert tile.dtype == np.float32
    assert_close(tile, kernel.evaluate(X, X), "exact")
    assert np.max(np.abs(tile - Gaussian(1.0).evaluate(X, X))) > 0.5  # control: another scale


@pytest.mark.parametrize("storage", ["dense", "streamed"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("loops", ["compiled", "portable"])
def test_scales_beyond_all_numbers_leave_a_field_or_its_mean(storage, dtype, loops, monkeypatch, rng):
    if loops == "portable":
        monkeypatch.setattr(compiled, "compiled", lambda name: None)
    X, Z = points(rng, 300).astype(dtype), rng.standard_normal((300, 2)).astype(dtype)
    mean = np.broadcast_to(np.mean(Z, axis=0), Z.shape)
    for scale in (1e-310, 1e-200, 1e-160, 1e-44, 1e-30, 1e30, 1e200):
        op = NonlocalOperator.from_points(X, Gaussian(scale), storage=storage)
        assert_close(op.average(Z), Z if scale < 1 else mean, "reduction", n=300)
    assert np.max(np.abs(mean - Z)) > 0.5  # control: they are not the same


def test_the_portable_product_of_far_points_is_right_too(monkeypatch, rng):
    monkeypatch.setattr(compiled, "compiled", lambda name: None)
    for offset in (0.0, 3e5):
        X = points(rng, 900)
        X[:5] += np.float32(offset)
        op = NonlocalOperator.from_points(X, Gaussian(1.0), "none", storage="streamed")
        assert (single_precision_tiles(Gaussian(1.0), X) is None) == (offset > 0)
        Z = rng.standard_normal((900, 2)).astype(np.float32)
        expected = exact(Gaussian(1.0), X) @ Z
        scale = float(np.max(exact(Gaussian(1.0), X) @ np.abs(Z)))
        assert_close(op.average(Z), expected.astype(np.float32), "reduction", n=16, scale=scale)
        definition = tiles_of(Gaussian(1.0), X)(*WHOLE)
        assert np.max(np.abs(definition @ Z[::-1] - expected)) > 1e-3 * scale  # control


def test_a_derived_kernel_is_taken_at_its_word(rng):
    class Half(Gaussian):
        """Another function."""

        def log_evaluate(self, X, Y):
            return super().log_evaluate(X, Y) / 2

    X = points(rng)
    assert_close(tiles_of(Half(1.0), X)(*WHOLE), Half(1.0).evaluate(X, X), "exact")
    assert np.max(np.abs(tiles_of(Gaussian(1.0), X)(*WHOLE) - Half(1.0).evaluate(X, X))) > 0.1  # control


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_tiles_in_place_are_the_definition(dtype, rng):
    X, kernel = points(rng).astype(dtype), Gaussian(0.7)
    tiles = tiles_in_place(kernel, X)
    assert tiles is not None
    assert_close(tiles(*WHOLE), kernel.evaluate(X, X), "exact")
    assert np.max(np.abs(tiles(*WHOLE) - Gaussian(0.8).evaluate(X, X))) > 0.01  # control
    assert tiles_in_place(Gaussian(1e-200), X) is None


@pytest.mark.parametrize("scale", [1e-20, 1e-10, 0.3, 1e20])
def test_a_scale_of_single_precision_is_the_number_that_it_is(scale, rng):
    for X in (1e3 * points(rng), points(rng).astype(np.float64), points(rng)):
        found, expected = (
            kernel.evaluate(X, X) for kernel in (Gaussian(np.float32(scale)), Gaussian(float(np.float32(scale))))
        )
        assert_close(found, expected, "exact")
        assert_close(np.diagonal(found), np.ones(len(X), X.dtype), "exact")
    assert np.max(np.abs(found - Gaussian(1.0).evaluate(X, X))) > 1e-3  # control
