"""Non-local means: the definition, both ways to compute it, and the operator whose step it is."""

import itertools

import numpy as np
import pytest

from nlmodel.errors import ChoiceError, DomainError, DtypeError, NonFiniteError, ShapeError
from nlmodel.images import (
    PatchWeights,
    means,
    nonlocal_means,
    patch_operator,
    picture,
    strips_compiled,
    strips_portable,
)
from nlmodel.images.decay import DEGREE, DOUBLINGS, FARTHEST, coefficients, schraudolph
from nlmodel.stepping import evolve
from nlmodel.testing import assert_close, tolerance


WEIGHTS = [
    PatchWeights(0.4),
    PatchWeights(0.4, patch=5, reach=3, sigma=0.1),
    PatchWeights(0.3, patch=3, reach=20, sigma=0.2, taper="uniform"),
    PatchWeights(0.5, patch=1, reach=2),
    PatchWeights(0.5, patch=9, reach=2, taper="uniform"),
    PatchWeights(0.5, patch=5, reach=0),
    PatchWeights(0.2, patch=5, reach=2, sigma=0.1, exponential="schraudolph"),
    PatchWeights(0.2, patch=3, reach=2, taper="uniform", exponential="schraudolph"),
]


def waves(*shape: int) -> np.ndarray:
    """An image without chance."""
    k = np.arange(np.prod(shape), dtype=float).reshape(shape)
    return 0.5 + 0.3 * np.sin(0.7 * k) + 0.2 * np.cos(0.31 * k * k / (1 + k))


def definition(image: np.ndarray, w: PatchWeights) -> np.ndarray:
    """Pixel by pixel and patch by patch."""
    v = image if image.ndim == 3 else image[..., None]
    rows, columns, channels = v.shape
    r = w.patch // 2
    padded = np.pad(v, ((r, r), (r, r), (0, 0)), mode="reflect")
    out = np.empty_like(v)
    for i, j in itertools.product(range(rows), range(columns)):
        total, weight = np.zeros(channels), 0.0
        for k in range(max(0, i - w.reach), min(rows, i + w.reach + 1)):
            for l in range(max(0, j - w.reach), min(columns, j + w.reach + 1)):
                gap = padded[i : i + w.patch, j : j + w.patch] - padded[k : k + w.patch, l : l + w.patch]
                terms = np.outer(w.taps, w.taps) * np.sum(gap**2 - 2 * w.sigma**2, axis=-1) / (channels * w.h**2)
                after = np.cumsum(np.sum(terms, axis=1))
                d = np.maximum(after[-1:], 0)
                omega = np.exp(-d)[0]
                if w.exponential == "schraudolph":
                    omega = 0.0 if np.any(after[:-1] > 5) else schraudolph(d)[0]
                total, weight = total + omega * v[k, l], weight + omega
        out[i, j] = total / weight
    return out.reshape(image.shape)


@pytest.fixture(params=["compiled", "portable"])
def either(request, monkeypatch):
    """Both ways of working through a strip, and strips that do not divide the image."""
    chosen = {"compiled": strips_compiled, "portable": strips_portable}[request.param]
    monkeypatch.setattr(means, "strips", lambda: chosen)
    monkeypatch.setattr(means, "ROWS", 4)


def check_same(found: np.ndarray, wanted: np.ndarray) -> None:
    assert_close(found, wanted, "reduction", n=200)


@pytest.mark.parametrize("weights", WEIGHTS, ids=repr)
@pytest.mark.parametrize("shape", [(11, 9), (7, 8, 3)])
def test_it_is_the_definition(weights, shape, either):
    image = waves(*shape)
    before = image.copy()
    check_same(nonlocal_means(image, weights), definition(image, weights))
    assert np.array_equal(image, before)


@pytest.mark.parametrize("weights", WEIGHTS[:2] + WEIGHTS[-2:], ids=repr)
def test_another_weight_is_another_image(weights, either):
    """Control."""
    other = PatchWeights(weights.h * 1.001, weights.patch, weights.reach, 0.0, weights.taper, weights.exponential)
    image = waves(11, 9)
    with pytest.raises(AssertionError):
        check_same(nonlocal_means(image, weights), definition(image, other))


FROZEN = [
    (
        waves(9, 8),
        PatchWeights(0.4, 5, 3, 0.1, exponential="schraudolph"),
        np.s_[range(4), range(4)],
        [0.6010633351313166, 0.4590628897567248, 0.5443604073859367, 0.49026918529049196],
    ),
    (
        waves(9, 8),
        PatchWeights(0.3, 3, 2, 0.0, exponential="schraudolph"),
        np.s_[range(4), range(4)],
        [0.6864501450036465, 0.40071857872955274, 0.562800927704992, 0.4867721212962832],
    ),
    (
        waves(6, 5, 3),
        PatchWeights(0.5, 3, 2, 0.2, exponential="schraudolph"),
        np.s_[2, 1],
        [0.3904939705319648, 0.3848570478348616, 0.4214569793658613],
    ),
]


@pytest.mark.parametrize(("image", "weights", "at", "wanted"), FROZEN)
def test_it_is_the_slow_mode_of_scikit_image(image, weights, at, wanted, either):
    check_same(nonlocal_means(image, weights)[at], np.array(wanted))
    exact = PatchWeights(weights.h, weights.patch, weights.reach, weights.sigma)
    with pytest.raises(AssertionError):  # control: with the true exponential it is not
        check_same(nonlocal_means(image, exact)[at], np.array(wanted))


@pytest.mark.parametrize("taper", ["gaussian", "uniform"])
def test_single_precision_is_double_precision_rounded(taper, either):
    weights, image = PatchWeights(0.4, 5, 4, 0.1, taper), waves(13, 10)
    found = nonlocal_means(image.astype(np.float32), weights)
    check_same(found, nonlocal_means(image.astype(np.float32).astype(float), weights).astype(np.float32))


def test_strips_are_worked_on_together(monkeypatch):
    image, weights = waves(150, 20), PatchWeights(0.4, 3, 5)
    whole = nonlocal_means(image, weights)
    assert np.array_equal(whole, nonlocal_means(image, weights))
    monkeypatch.setattr(means, "strips", lambda: strips_portable)
    check_same(whole, nonlocal_means(image, weights))


@pytest.mark.parametrize("shape", [(11, 9), (7, 8, 3)])
@pytest.mark.parametrize("weights", [WEIGHTS[1], WEIGHTS[-2]], ids=repr)
def test_one_step_of_the_stage_is_non_local_means(weights, shape):
    image = waves(*shape)
    op = patch_operator(image, weights)
    Z = image.reshape(op.size, -1)
    found = evolve(op, Z, step=1.0, steps=1, method="forward_euler").final
    check_same(found.reshape(shape), nonlocal_means(image, weights))
    half = evolve(op, Z, step=0.5, steps=1, method="forward_euler").final
    with pytest.raises(AssertionError):  # control
        check_same(half.reshape(shape), nonlocal_means(image, weights))


def test_the_operator_is_an_average_within_the_reach():
    op = patch_operator(waves(9, 8), PatchWeights(0.4, 3, 2))
    assert op.storage == "sparse"
    assert op.reversible
    K = op.to_dense() + np.eye(op.size)
    assert np.min(K) >= 0
    check_same(np.sum(K, axis=1), np.ones(op.size))
    i, j = np.divmod(np.arange(op.size), 8)
    far = np.maximum(np.abs(i[:, None] - i), np.abs(j[:, None] - j)) > 2
    assert not np.any(K[far])
    assert np.all(K[~far] > 0)


def test_noise_is_taken_away_and_the_picture_stays():
    clean = picture(96)
    noisy = clean + 0.1 * np.random.default_rng(0).standard_normal(clean.shape)
    found = nonlocal_means(noisy, PatchWeights(0.08, 5, 9, 0.1, "uniform"))
    assert np.std(found - clean) < 0.5 * np.std(noisy - clean)
    flat = np.mean(noisy) + 0 * noisy
    assert np.std(found - clean) < 0.5 * np.std(flat - clean)  # control: a flat picture has no noise either


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_polynomial_is_the_exponential(dtype):
    def error(kept):
        d = np.linspace(0, FARTHEST[kept.dtype.name], 4001)
        p = np.polynomial.Polynomial(kept.astype(float))(d) ** (2 ** DOUBLINGS[kept.dtype.name])
        return np.max(np.abs(p / np.exp(-d) - 1))

    kept = coefficients(np.dtype(dtype))
    assert len(kept) == DEGREE[kept.dtype.name] + 1
    bound = tolerance("reduction", dtype, n=2 ** (DOUBLINGS[kept.dtype.name] + 1))
    assert error(kept) <= bound < error(kept[:-1])


def test_the_piecewise_linear_exponential():
    d = np.linspace(0, 20, 10001)
    assert np.max(np.abs(schraudolph(d) * np.exp(d) - 1)) < 0.062
    assert np.max(np.abs(schraudolph(d) * np.exp(d) - 1)) > 0.03


@pytest.mark.parametrize("order", ["F", "big-endian", "every second", "read-only"])
def test_any_layout_of_the_image(order, either):
    image, weights = waves(8, 10), PatchWeights(0.4, 3, 2)
    given = {
        "F": np.asfortranarray(image),
        "big-endian": image.astype(">f8"),
        "every second": np.repeat(image, 2, axis=1)[:, ::2],
        "read-only": image.copy(),
    }[order]
    given.flags.writeable = order != "read-only"
    found = nonlocal_means(given, weights)
    assert np.array_equal(found, nonlocal_means(image, weights))
    assert found.flags.writeable


def test_pictures_are_between_black_and_white():
    for image in (picture(33), picture(33, colour=True), picture(1)):
        assert image.min() >= 0
        assert image.max() <= 1
    assert picture(33, colour=True).shape == (33, 33, 3)


GOOD = waves(5, 4)
BAD_IMAGES = [
    ([[1.0]], DtypeError, "image must be a NumPy array: got list"),
    (GOOD.astype(int), DtypeError, "image must be a real floating-point array"),
    (GOOD.astype(np.float16), DtypeError, "double or single precision"),
    (GOOD * 1j, DtypeError, "real floating-point"),
    (GOOD * np.nan, NonFiniteError, "image must be finite"),
    (np.full((3, 3), np.inf), NonFiniteError, "image must be finite"),
    (GOOD[0], ShapeError, r"\(rows, columns\) or"),
    (GOOD[None, None], ShapeError, r"\(rows, columns\) or"),
    (GOOD[:0], ShapeError, "must not be empty"),
    (GOOD * 1e160, DomainError, "squared distance of two patches must be within the range"),
    ((GOOD * 1e19).astype(np.float32), DomainError, "squared distance of two patches must be within the range"),
]


@pytest.mark.parametrize(("image", "error", "text"), BAD_IMAGES)
@pytest.mark.parametrize("function", [nonlocal_means, patch_operator])
def test_bad_images(function, image, error, text):
    with pytest.raises(error, match=text):
        function(image, PatchWeights(0.1))
    with pytest.raises(DtypeError, match="weights must be a PatchWeights: got float"):
        function(GOOD, 0.1)


BAD_WEIGHTS = [
    ({"h": 0.0}, DomainError, "h must be > 0"),
    ({"h": 1e151}, DomainError, "h must be > 0 and < 1e"),
    ({"h": np.nan}, NonFiniteError, "h must be finite"),
    ({"h": "large"}, DtypeError, "h must be a real number"),
    ({"h": 1.0, "patch": 4}, DomainError, "patch must be odd: got 4"),
    ({"h": 1.0, "patch": 0}, DomainError, "patch must be at least 1"),
    ({"h": 1.0, "patch": 7.0}, DtypeError, "patch must be a whole number"),
    ({"h": 1.0, "reach": -1}, DomainError, "reach must be at least 0"),
    ({"h": 1.0, "sigma": -0.1}, DomainError, "sigma must be >= 0"),
    ({"h": 1.0, "sigma": np.inf}, NonFiniteError, "sigma must be finite"),
    ({"h": 1.0, "taper": "box"}, ChoiceError, "taper must be one of 'gaussian', 'uniform': got 'box'"),
    ({"h": 1.0, "exponential": "fast"}, ChoiceError, "exponential must be one of 'exact', 'schraudolph'"),
]


@pytest.mark.parametrize(("given", "error", "text"), BAD_WEIGHTS)
def test_bad_weights(given, error, text):
    with pytest.raises(error, match=text):
        PatchWeights(**given)


def test_h_and_sigma_beyond_the_range_of_the_image():
    for weights in (PatchWeights(1e-30), PatchWeights(0.1, sigma=1e30)):
        with pytest.raises(DomainError, match="within the range"):
            nonlocal_means(GOOD.astype(np.float32), weights)
        assert np.all(np.isfinite(nonlocal_means(GOOD, weights)))  # control


def test_what_is_just_within_the_range_is_averaged(either):
    for image in (GOOD * 1e149, (GOOD * 1e15).astype(np.float32)):
        scale = np.max(image)
        wanted = nonlocal_means(image / scale, PatchWeights(0.4, 3, 2, taper="uniform"))
        check_same(nonlocal_means(image, PatchWeights(float(0.4 * scale), 3, 2, taper="uniform")) / scale, wanted)


@pytest.mark.parametrize("there", [True, False])
def test_numba_is_used_where_it_is_installed(there, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if there else None)
    assert means.strips.__wrapped__() is (strips_compiled if there else strips_portable)


def test_bad_sizes_of_pictures():
    with pytest.raises(DomainError, match="size must be at least 1"):
        picture(0)
