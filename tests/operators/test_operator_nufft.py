"""The Gaussian by nonuniform Fourier transforms: within its error bound of the dense one, and true to every law."""

import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from array_api_strict import asarray as strict

from nlmodel import NonlocalOperator
from nlmodel.errors import (
    ChoiceError,
    DomainError,
    DtypeError,
    MissingPackageError,
    NonFiniteError,
    NormalizationError,
    ShapeError,
)
from nlmodel.kernels import DotProduct, Exponential, Gaussian, TruncatedGaussian
from nlmodel.operators import nufft, nufft_plan
from nlmodel.operators.nufft import NufftAffinity
from nlmodel.operators.nufft_series import GaussianSeries
from nlmodel.testing import assert_close, tolerance
from tests.operators.approximations import HOWS, check_laws


X = np.array([[0.0, 1.0], [2.0, 3.0], [1.0, 1.0]])


def problem(seed: int, precision=np.float64):
    """Random points of random extents, a scale and a tol that the precision allows."""
    rng = np.random.default_rng(seed)
    dim, size = int(rng.integers(1, 4)), int(rng.integers(1, 30))
    widest = {1: 200.0, 2: 20.0, 3: 4.0}[dim]
    X = rng.uniform(-1, 1, (size, dim)) * widest ** rng.uniform(-1, 1, dim) + rng.uniform(-3, 3, dim)
    tol = 10.0 ** (rng.uniform(-11.5, -0.5) if precision == np.float64 else rng.uniform(-3, -0.5))
    return X.astype(precision), Gaussian(float(rng.uniform(0.5, 2.0))), tol, rng


def gap(affinity: NufftAffinity, X: np.ndarray, kernel, Z: np.ndarray) -> float:
    """The largest error of a product over what the bound allows."""
    exact = kernel(X.astype(float)) @ Z
    allowed = affinity.error_bound * np.abs(Z).sum(0)
    return float(np.max(np.abs(affinity.apply(Z.astype(X.dtype)) - exact) / allowed))


@pytest.mark.parametrize("precision", [np.float64, np.float32])
def test_the_error_bound_holds_on_100_problems(precision):
    largest = []
    for seed in range(100):
        X, kernel, tol, rng = problem(seed, precision)
        affinity = NufftAffinity.build(X, kernel, tol)
        assert affinity.error_bound <= tol
        unit = np.eye(len(X))[:, :5]  # what one position sends reaches every entry's own bound
        largest += [gap(affinity, X, kernel, Z) for Z in (unit, rng.standard_normal((len(X), 3)))]
    assert max(largest) <= 1
    assert max(largest) > 0.1  # and it is not idle


def test_half_of_the_modes_break_the_bound():
    broken = []
    for seed in range(100):
        X, kernel, tol, _ = problem(seed)
        if np.ptp(X) < kernel.scale:
            continue
        whole = NufftAffinity.build(X, kernel, min(tol, 1e-3))
        middle = tuple(slice(n // 2 - n // 4, n // 2 + n // 4 + 1) for n in whole.transform.modes)
        kept = np.ascontiguousarray(whole.multiplier[middle])
        half = replace(whole, transform=replace(whole.transform, modes=kept.shape), multiplier=kept)
        broken.append(gap(half, X, kernel, np.eye(len(X))) > 1)
    assert len(broken) > 80 and all(broken)


def test_a_box_without_room_for_the_images_breaks_the_bound(monkeypatch, rng):
    X = np.concatenate([rng.uniform(0, 4, (20, 1)), [[0.0], [4.0]]])
    honest = NufftAffinity.build(X, Gaussian(1.0), 1e-6)
    assert gap(honest, X, Gaussian(1.0), np.eye(22)) <= 1
    within = GaussianSeries.within
    monkeypatch.setattr(GaussianSeries, "within", lambda share, span, scale: within(share, 0.0, scale))
    assert gap(NufftAffinity.build(X, Gaussian(1.0), 1e-6), X, Gaussian(1.0), np.eye(22)) > 1


@pytest.mark.parametrize("share", [1e-14, 1e-6, 1e-3])
@pytest.mark.parametrize("span", [0.0, 1.0, 30.0])
def test_the_series_is_the_gaussian_within_its_two_parts(share, span):
    series = GaussianSeries.within(share, span, 0.7)
    assert max(series.images, series.tail) <= share
    x = np.linspace(0, span, 101)
    waves = np.arange(-series.highest, series.highest + 1)
    values = np.cos(2 * np.pi / series.period * np.outer(x, waves)) @ series.coefficients
    error = np.max(np.abs(values - np.exp(-0.5 * (x / 0.7) ** 2)))
    assert error <= series.images + series.tail + tolerance("reduction", n=len(waves))
    fewer = GaussianSeries(series.period, series.highest // 2, 0.7, series.images, series.tail)
    short = np.cos(2 * np.pi / series.period * np.outer(x, waves[np.abs(waves) <= fewer.highest])) @ fewer.coefficients
    assert np.max(np.abs(short - np.exp(-0.5 * (x / 0.7) ** 2))) > share


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("precision", [np.float64, np.float32])
def test_laws(how, precision):
    """Against its own dense form, to rounding: it is a symmetric semidefinite operator, whatever it approximates."""
    for seed in range(8):
        X, _, _, rng = problem(seed, precision)
        kernel = Gaussian(float(np.ptp(X)) + 1.0) if how == "sinkhorn" else Gaussian(1.5)
        affinity = NufftAffinity.build(X, kernel, 1e-3)
        weights = rng.uniform(0.5, 2.0, len(X)).astype(precision)
        check_laws(affinity, how, weights, rng)


class Forgetful(NufftAffinity):
    """Its transpose forgets that the scalings change sides."""

    def apply_transposed(self, Z):
        return self.apply(Z)


class Doubled(NufftAffinity):
    """Its diagonal is that of another matrix."""

    def diagonal(self):
        return 2 * super().diagonal()


class Lopsided(NufftAffinity):
    """One that is scaled on one side only when both are asked for."""

    def rescaled(self, left, right):
        return super().rescaled(left, 0 * right)


@pytest.mark.parametrize("wrong", [Forgetful, Doubled, Lopsided])
def test_wrong_twins_break_the_laws(wrong, rng):
    right, weights = NufftAffinity.build(X, Gaussian(1.0), 1e-6), np.array([1.0, 2.0, 3.0])
    check_laws(right, "row", weights, rng)
    with pytest.raises(AssertionError):
        check_laws(wrong(**vars(right)), "row", weights, rng)


def test_semidefinite_to_rounding_at_a_coarse_tolerance(rng):
    X = rng.uniform(0, 3, (40, 2))
    affinity = NufftAffinity.build(X, Gaussian(1.0), 0.1)
    dense = affinity.to_dense()
    bound = tolerance("reduction", n=40)
    assert np.max(np.abs(dense - dense.T)) <= bound and np.min(np.linalg.eigvalsh(dense)) >= -bound
    assert np.max(np.abs(dense - Gaussian(1.0)(X))) > 1e6 * bound  # which an exact product would satisfy trivially


def test_channels_do_not_disturb_each_other(rng):
    """They go through the transform two by two: a large one must not drown its neighbour."""
    X, size = rng.uniform(0, 3, (20, 2)), 1e12
    affinity = NufftAffinity.build(X, Gaussian(1.0), 1e-9)
    Z = rng.standard_normal((20, 5))
    bound = tolerance("reduction", n=20, scale=float(np.abs(Z).sum(0).max()))
    large = Z * np.array([1.0, size, 1.0, 0.0, 1.0])
    alone = np.concatenate([affinity.apply(Z[:, [c]]) for c in range(5)], axis=1)
    together = affinity.apply(large)
    assert np.max(np.abs(together[:, [0, 2, 4]] - alone[:, [0, 2, 4]])) <= bound
    assert not np.any(together[:, 3]) and np.max(np.abs(together[:, 1] / size - alone[:, 1])) <= bound
    swapped = affinity.apply(Z[:, [1, 0, 2, 3, 4]])
    assert np.max(np.abs(swapped - alone)) > 1e3 * bound  # control


def test_nonnegative_only_where_it_is_proved(rng):
    X = rng.uniform(0, 1, (20, 2))
    wide, narrow = (NufftAffinity.build(X, Gaussian(s), 1e-6) for s in (1.0, 0.1))
    assert wide.nonnegative and not narrow.nonnegative
    assert np.min(wide.to_dense()) > 0
    keeps = NonlocalOperator._normalized(wide, "row", None, 1.0).keeps
    assert keeps == {"constants", "weighted_mean", "self_adjoint", "maximum_principle", "contraction"}
    assert NonlocalOperator._normalized(narrow, "row", None, 1.0).keeps == {
        "constants",
        "weighted_mean",
        "self_adjoint",
    }


def test_horizons_that_do_not_matter_are_admitted(rng):
    X = rng.uniform(0, 8, (30, 1))
    kernel = TruncatedGaussian(6.0, 1.0)
    affinity = NufftAffinity.build(X, kernel, 1e-6)
    assert gap(affinity, X, kernel, np.eye(30)) <= 1
    assert affinity.error_bound > kernel.constant * np.exp(-18)
    everywhere = TruncatedGaussian(np.inf, 0.5, 1)
    assert gap(NufftAffinity.build(X, everywhere, 1e-9), X, everywhere, np.eye(30)) <= 1


def test_fields_of_torch_and_others_with_gradients(rng):
    X, Z = rng.uniform(0, 3, (9, 2)), rng.standard_normal((2, 9, 3))
    op = NonlocalOperator._normalized(NufftAffinity.build(X, Gaussian(1.0), 1e-8), "row", None, 1.0)
    expected = op @ Z
    assert_close(np.asarray(op @ strict(Z)), expected, "reduction", n=9)
    field = torch.tensor(Z, requires_grad=True)
    assert_close(op @ field, torch.tensor(expected), "reduction", n=9)
    assert torch.autograd.gradcheck(op.__matmul__, field, fast_mode=True)
    assert torch.autograd.gradgradcheck(op.__matmul__, field, fast_mode=True)


def test_travels_to_another_process_and_computes_there(rng):
    affinity = NufftAffinity.build(X, Gaussian(1.0), 1e-9)
    Z = rng.standard_normal((3, 1))
    before = affinity.apply(Z)
    again = pickle.loads(pickle.dumps(affinity))
    assert_close(again.apply(Z), before, "reduction", n=3)


def test_inputs_stay_as_they_are(rng):
    points, Z = X.copy(), rng.standard_normal((3, 2))
    kept = Z.copy()
    NonlocalOperator._normalized(NufftAffinity.build(points, Gaussian(1.0), 1e-6), "row", None, 1.0) @ Z
    assert np.array_equal(points, X) and np.array_equal(Z, kept)


def test_row_sums_below_their_error_are_refused():
    far = np.linspace(0, 1000, 200)[:, None]  # every position nearly alone
    affinity = NufftAffinity.build(far, Gaussian(1.0), 0.05)
    with pytest.raises(NormalizationError, match=r"(?s)exceed the bound of its error.*tol=2.5e-03"):
        NonlocalOperator._normalized(affinity, "row", None, 1.0)
    enough = NufftAffinity.build(far, Gaussian(1.0), 2.5e-3)
    assert "constants" in NonlocalOperator._normalized(enough, "row", None, 1.0).keeps


def test_one_line_tells_what_it_is():
    text = repr(NufftAffinity.build(X, Gaussian(1.0), 1e-6))
    assert text.startswith("NufftAffinity(shape=(3, 3), modes=(") and "error_bound=" in text and "\n" not in text


BAD = [
    (torch.tensor(X), Gaussian(), 1e-6, DtypeError, "NumPy points.*Tensor"),
    ([[1.0]], Gaussian(), 1e-6, DtypeError, "NumPy points.*list"),
    (X.astype(int), Gaussian(), 1e-6, DtypeError, "X must be a real floating-point"),
    (X.astype(np.float16), Gaussian(), 1e-6, DtypeError, "float16"),
    (X[None], Gaussian(), 1e-6, ShapeError, "2 dimensions"),
    (X[:0], Gaussian(), 1e-6, ShapeError, "empty"),
    (np.ones((3, 4)), Gaussian(), 1e-6, ShapeError, r"1, 2 or 3 dimensions.*\(3, 4\)"),
    (np.array([[np.nan]]), Gaussian(), 1e-6, NonFiniteError, "X must be finite"),
    (np.array([[np.inf]]), Gaussian(), 1e-6, NonFiniteError, "X must be finite"),
    (X, DotProduct(), 1e-6, DomainError, "Fourier transform is known.*DotProduct"),
    (X, Exponential(np.inf, 1.0, 2), 1e-6, DomainError, "decays fast.*Exponential"),
    (X, TruncatedGaussian(np.inf, 1.0, 3), 1e-6, ShapeError, r"length 3.*\(3, 2\)"),
    (X * 9, TruncatedGaussian(2.0, 1.0, 2), 1e-6, DomainError, "tol must be.*0.14.*horizon"),
    (X, Gaussian(), 1e-16, DomainError, "tol must be one that float64 allows"),
    (X.astype(np.float32), Gaussian(), 1e-6, DomainError, "tol must be one that float32 allows.*float64"),
    (X, Gaussian(), 0.0, DomainError, "tol must be > 0"),
    (X, Gaussian(), 1.0, DomainError, "tol must be.*< 1"),
    (X, Gaussian(), np.nan, NonFiniteError, "tol"),
    (X, Gaussian(), "1e-6", DtypeError, "tol must be a real number"),
    (np.array([[-1.7e308], [1.7e308]]), Gaussian(), 1e-6, DomainError, "1e.09 scales.*inf for a scale of 1"),
    (X, Gaussian(1e-300), 1e-6, DomainError, "1e.09 scales"),
    (X * 1e5, Gaussian(), 1e-6, DomainError, "modes must fit into 4 GiB.*GiB.*raise tol or the scale"),
]


@pytest.mark.parametrize(("points", "kernel", "tol", "error", "message"), BAD)
def test_bad_calls(points, kernel, tol, error, message):
    with pytest.raises(error, match=f"(?s){message}"):
        NufftAffinity.build(points, kernel, tol)


def test_sinkhorn_needs_a_proof_that_nothing_is_negative():
    affinity = NufftAffinity.build(X * 20, Gaussian(), 1e-6)
    with pytest.raises(DomainError, match="nonnegative"):
        NonlocalOperator._normalized(affinity, "sinkhorn", None, 1.0)
    with pytest.raises(ChoiceError, match="normalize"):
        NonlocalOperator._normalized(affinity, "rows", None, 1.0)


def test_without_finufft_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "finufft", None)
    with pytest.raises(MissingPackageError, match=r"pip install nlmodel\[nufft\]"):
        nufft.NufftAffinity.build(X, Gaussian(), 1e-6)


def test_threads_take_turns(rng):
    affinity = NufftAffinity.build(X, Gaussian(1.0), 1e-9)
    fields = [rng.standard_normal((3, 1)) for _ in range(40)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(affinity.apply, fields))
    for Z, found in zip(fields, together, strict=True):
        assert_close(found, affinity.apply(Z), "reduction", n=3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fields_that_are_transformed_at_once(dtype, monkeypatch, rng):
    """Of an odd number of fields some go together, some in a pair, one alone: all as by themselves."""
    monkeypatch.setattr(nufft_plan, "cores", lambda: 2)
    X, Z = rng.uniform(0, 1, (300, 2)).astype(dtype), rng.standard_normal((300, 7)).astype(dtype)
    affinity = NufftAffinity.build(X, Gaussian(0.3), 1e-4).rescaled(X[:, 0], X[:, 1])
    together = []
    filtered = nufft_plan.Transform.filtered
    monkeypatch.setattr(
        nufft_plan.Transform, "filtered", lambda self, c, m: together.append(len(c)) or filtered(self, c, m)
    )
    found = affinity.apply(Z)
    assert together == [2, 1, 1]
    alone = np.concatenate([affinity.apply(Z[:, c : c + 1]) for c in range(7)], axis=1)
    scale = float(np.exp(2)) * np.abs(Z).sum(0).max()
    assert_close(found, alone, "reduction", n=64, scale=scale)
    with pytest.raises(AssertionError):  # control: a field in the place of its neighbour
        assert_close(np.roll(found, 1, axis=1), alone, "reduction", n=64, scale=scale)
    monkeypatch.setattr(nufft_plan, "TOGETHER_BYTES", 1)
    assert affinity.transform.together == 1
