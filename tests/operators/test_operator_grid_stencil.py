"""The direct sum over a short stencil: equal to the matrix, to the transforms, whatever the shape and the boxes."""

import numpy as np
import pytest

import nlmodel.operators.grid as grid_module
import nlmodel.operators.grid_stencil as stencil_module
from nlmodel import NonlocalOperator
from nlmodel._jit import compiled
from nlmodel.kernels import TopHat, TruncatedGaussian
from nlmodel.operators.grid_stencil import Stencil, boxes
from nlmodel.testing import assert_close


SHAPES = [(7,), (45,), (1200,), (8, 12), (9, 31), (8, 7, 9), (9, 8, 40)]


@pytest.fixture(autouse=True)
def small_boxes(monkeypatch) -> None:
    """Several boxes on fields of a few positions."""
    assert compiled("operators.grid_stencil_compiled") is not None
    monkeypatch.setattr(grid_module, "FROM_BYTES", 0)
    monkeypatch.setattr(grid_module, "FIELD_BYTES", 0)
    monkeypatch.setattr(stencil_module, "BOX_BYTES", 20_000)
    monkeypatch.setattr(stencil_module, "SHORTEST", 2)


def operator(shape, boundary="periodic", dtype=np.float64, **more) -> NonlocalOperator:
    kernel = TruncatedGaussian(0.25, 0.15, len(shape))
    return NonlocalOperator.on_grid(shape, kernel, 0.1, boundary=boundary, dtype=dtype, **more)


def sums_directly(op: NonlocalOperator) -> bool:
    return op.averaging.direct(1) is not None


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("boundary", ["periodic", "free"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_it_is_the_product_with_the_matrix(shape, boundary, dtype, rng):
    for how in ("none", "row"):
        op = operator(shape, boundary, dtype, normalize=how)
        exact = operator(shape, boundary, normalize=how).to_dense()
        scale = 8 * float(np.max(np.abs(op.exit_rate)))
        assert sums_directly(op)
        for lead, columns in (((), 1), ((), 3), ((2,), 2)):
            Z = rng.standard_normal((*lead, op.size, columns)).astype(dtype)
            kept = Z.copy()
            assert_close(op @ Z, (exact @ Z).astype(dtype), "reduction", n=16, scale=scale)
            assert_close(op.T @ Z, (exact.T @ Z).astype(dtype), "reduction", n=16, scale=scale)
            backwards = Z[..., ::-1, :]
            assert_close(op @ backwards, (exact @ backwards).astype(dtype), "reduction", n=16, scale=scale)
            assert np.array_equal(Z, kept)
            assert np.max(np.abs(exact @ Z - exact @ backwards)) > 1e-3  # control


def test_it_is_the_product_by_transforms(monkeypatch, rng):
    Z = rng.standard_normal((64 * 96, 2))
    for boundary in ("periodic", "free"):
        direct = operator((64, 96), boundary)
        with monkeypatch.context() as patch:
            patch.setattr(stencil_module, "MOST_OPERATIONS", 0)
            by_transforms = operator((64, 96), boundary)
        assert sums_directly(direct) and not sums_directly(by_transforms)
        scale = 16 * float(np.max(direct.exit_rate))
        assert_close(direct @ Z, by_transforms @ Z, "reduction", n=16, scale=scale)
        assert not np.array_equal(direct @ Z, by_transforms @ Z)  # control: they are not the same algorithm


@pytest.mark.parametrize("spacing", [(0.1, 0.1, 0.1), (0.1, 0.05, 0.08)], ids=str)
def test_unequal_spacings(spacing, rng):
    op = NonlocalOperator.on_grid((9, 16, 12), TruncatedGaussian(0.25, 0.15, 3), spacing, boundary="free")
    Z = rng.standard_normal((op.size, 1))
    assert sums_directly(op)
    assert_close(op @ Z, op.to_dense() @ Z, "reduction", n=16, scale=8 * float(np.max(op.exit_rate)))
    turned = NonlocalOperator.on_grid((9, 16, 12), TruncatedGaussian(0.25, 0.15, 3), spacing[::-1], boundary="free")
    alike = spacing == spacing[::-1]
    assert alike or np.max(np.abs(turned @ Z - op @ Z)) > 1e-3  # control


def test_lines_that_count_alike_are_added_first():
    ball = operator((16, 16, 16)).averaging.stencil
    offsets = np.count_nonzero(sum(np.square(axis) for axis in np.ix_(*[np.arange(-2, 3)] * 3)) <= 6)
    assert ball is not None
    assert len(ball.lines) == 21 and len(ball.groups) - 1 == 5
    assert ball.operations < offsets < 6 * len(ball.lines)
    values = np.random.default_rng(0).uniform(1, 2, (3, 3, 3))
    uneven = Stencil.of(values, np.dtype(float), periodic=True)
    assert uneven is not None and len(uneven.groups) - 1 == len(uneven.lines) == 9  # control: nothing is alike


def test_any_weights_are_summed(rng):
    """Weights without any symmetry, on a torus: the sum of shifted fields."""
    values = rng.standard_normal((3, 5, 7))
    values[:, 2, 3] = 0
    field = rng.standard_normal((1, 1, 7, 9, 11))
    expected = np.zeros_like(field)
    for offset in np.ndindex(values.shape):
        shift = tuple(r - k for r, k in zip((1, 2, 3), offset, strict=True))
        expected += values[offset] * np.roll(field, shift, axis=(2, 3, 4))
    stencil = Stencil.of(values, field.dtype, periodic=True)
    assert stencil is not None
    found = stencil.apply(field, None, None, None)
    assert_close(found, expected, "reduction", n=values.size, scale=8.0)
    assert_close(stencil.scaled(-2.0).apply(field, None, None, None), -2 * found, "elementwise", scale=64.0)
    assert np.max(np.abs(found - np.flip(found, axis=2))) > 0.1  # control


def test_what_is_not_a_number_stays_within_reach(rng):
    op, Z = operator((40,)), rng.standard_normal((40, 1))
    clean = op @ Z
    Z[20] = np.nan
    found = op.averaging.apply(Z)
    near = np.abs(np.arange(40) - 20) <= 2
    assert np.all(np.isnan(found[near])) and np.all(np.isfinite(found[~near]))
    assert np.all(np.isfinite(clean))


def test_transforms_are_taken_where_the_stencil_is_long_or_meets_itself(monkeypatch):
    assert sums_directly(operator((40, 40)))
    assert not sums_directly(NonlocalOperator.on_grid((64, 64), TopHat(2.0, 2), 0.1))
    assert not sums_directly(operator((4, 40)))
    assert sums_directly(operator((4, 40), "free"))
    monkeypatch.setattr(grid_module, "FIELD_BYTES", 1601 * 8)
    assert not sums_directly(operator((40, 40))) and sums_directly(operator((40, 41)))
    monkeypatch.setattr(stencil_module, "compiled", lambda name: None)
    assert not sums_directly(operator((40, 41)))


def test_other_numbers_than_those_of_the_operator_are_taken_too(rng):
    """Fields whose bytes are turned, or that may not be written."""
    op, Z = operator((12, 10)), rng.standard_normal((120, 1))
    expected = op @ Z
    fixed = Z.copy()
    fixed.flags.writeable = False
    assert np.array_equal(op @ fixed, expected)
    turned = op.averaging.apply(Z.astype(Z.dtype.newbyteorder()))
    assert_close(turned, op.averaging.apply(Z), "reduction", n=16, scale=8 * float(np.max(op.exit_rate)))


def test_many_fields_need_fewer_boxes(monkeypatch):
    monkeypatch.undo()
    one, many = (boxes((64, 1, 64), (2, 0, 2), 8, fields) for fields in (1, 100))
    assert len(many) == 1 < len(one)


@pytest.mark.parametrize("grid", [(1, 1, 1), (1, 1, 5000), (3, 1, 7), (300, 1, 200), (40, 50, 60)], ids=str)
def test_boxes_cover_each_position_once(grid):
    seen = np.zeros(grid, dtype=int)
    for a, b, c, d, e, f in boxes(grid, (2, 2, 2), 8):
        seen[a:b, c:d, e:f] += 1
    assert np.all(seen == 1)
