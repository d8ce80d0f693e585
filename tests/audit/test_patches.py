"""Patches of an image as features."""

import matplotlib.cbook
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlmodel.audit import patches
from nlmodel.audit.readers import entries
from nlmodel.audit.readers.patches import patch_grid
from nlmodel.errors import DomainError, DtypeError, NonFiniteError, ShapeError


def photograph():
    path = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    (entry,) = entries(path)
    return entry.load()


def is_a_patch(row, image, size):
    """Whether a row is somewhere in the image, found by comparing with every window."""
    windows = np.lib.stride_tricks.sliding_window_view(image, (size, size), axis=(0, 1))
    windows = np.moveaxis(windows, 2, -1).reshape(-1, row.size)
    return bool(np.any(np.all(windows == row, axis=1)))


def test_the_photograph_gives_patches_of_itself():
    image = photograph()
    X = patches(image)
    rows, columns = patch_grid(image.shape[:2])
    assert X.shape == (rows * columns, 48)
    assert X.dtype == np.float64
    assert 0.0 <= X.min() < X.max() <= 1.0
    assert np.array_equal(X[0], image[:4, :4].ravel() / 255)
    assert is_a_patch(X[-1] * 255, image[-40:, -40:], 4)
    assert not is_a_patch(X[-1, ::-1] * 255, image[-40:, -40:], 4)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 9), st.integers(1, 400), st.booleans(), st.integers(0, 9))
def test_at_most_so_many_positions_and_no_smaller_stride_would_do(height, width, size, positions, colour, seed):
    shape = (height, width, 3) if colour else (height, width)
    image = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    if min(height, width) < size:
        with pytest.raises(ShapeError, match="patch"):
            patches(image, size, positions)
        return
    X = patches(image, size, positions)
    rows, columns = patch_grid((height, width), size, positions)
    assert X.shape == (rows * columns, size * size * (3 if colour else 1))
    assert len(X) <= positions
    strides = range(1, 61)
    counts = [((height - size) // s + 1) * ((width - size) // s + 1) for s in strides]
    assert len(X) == max(count for count in counts if count <= positions)


def test_floats_pass_unchanged_and_integers_are_scaled(rng):
    image = rng.random((8, 8), dtype=np.float32)
    assert patches(image, 2, 16).dtype == np.float32
    assert np.array_equal(patches(image, 2, 16)[0], image[:2, :2].ravel())
    deep = np.full((4, 4), 65535, np.uint16)
    assert np.array_equal(patches(deep, 2, 4), np.ones((4, 4)))


@pytest.mark.parametrize(
    ("image", "options", "error", "message"),
    [
        (np.zeros((8, 8), np.int64), {}, DtypeError, "uint8, uint16 or floats.*int64"),
        (np.zeros((8, 8), complex), {}, DtypeError, "complex128"),
        ([[1.0]], {}, DtypeError, "list"),
        (np.zeros(8), {}, ShapeError, "height, width"),
        (np.zeros((3, 8)), {}, ShapeError, "patch of 4 x 4"),
        (np.zeros((8, 8, 0)), {}, ShapeError, "height, width"),
        (np.zeros((2, 8, 8, 3)), {}, ShapeError, "height, width"),
        (np.full((8, 8), np.nan), {}, NonFiniteError, "finite"),
        (np.zeros((8, 8)), {"size": 0}, DomainError, "size must be at least 1"),
        (np.zeros((8, 8)), {"positions": 0}, DomainError, "positions must be at least 1"),
        (np.zeros((8, 8)), {"size": 2.0}, DtypeError, "whole number"),
    ],
)
def test_bad_images(image, options, error, message):
    with pytest.raises(error, match=message):
        patches(image, **options)
