"""The representation that stores nothing: equal to the dense one, in values, gradients and what it knows of itself."""

import numpy as np
import pytest
import torch
from array_api_strict import asarray as strict

from nlmodel import NonlocalOperator
from nlmodel.errors import ChoiceError, DomainError, NormalizationError, ShapeError
from nlmodel.kernels import DotProduct, Embedded, ExpDot, FunctionKernel, Gaussian, TopHat
from nlmodel.operators import of_points, streamed
from nlmodel.testing import assert_close, tolerance


HOWS = ("none", "row", "symmetric", "sinkhorn", "alpha")
KERNELS = [Gaussian(0.7), ExpDot(2.0), FunctionKernel(lambda X, Y: 1 + (X @ Y.T) ** 2), TopHat(3.0, 2)]


def pair(X, kernel, how: str) -> tuple[NonlocalOperator, NonlocalOperator]:
    tiles, dense = (NonlocalOperator.from_points(X, kernel, how, storage=s) for s in ("streamed", "dense"))
    assert (tiles.storage, dense.storage) == ("streamed", "dense")
    return tiles, dense


def slack(dense: NonlocalOperator, Z) -> float:
    scale = float(np.abs(dense.to_dense()).sum(1).max() * np.abs(np.asarray(Z)).max())
    return tolerance("reduction", n=64 * dense.size, scale=scale)  # 64 eps: where Sinkhorn's iteration stops


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_equals_the_dense_operator(kernel, how, rng):
    X, Z = rng.uniform(-1, 1, (11, 2)), rng.standard_normal((11, 3))
    tiles, dense = pair(X, kernel, how)
    bound = slack(dense, Z)
    assert np.abs(tiles @ Z - dense @ Z).max() <= bound
    assert np.abs(tiles.T @ Z - dense.T @ Z).max() <= bound * float(np.ptp(dense.degree) + 1)
    assert np.abs(tiles.to_dense() - dense.to_dense()).max() <= bound
    assert np.abs(tiles.diagonal() - dense.diagonal()).max() <= bound
    assert tiles.keeps == dense.keeps and tiles.nonnegative == dense.nonnegative


def test_twin_without_the_last_tile_differs(monkeypatch, rng):
    X, Z = rng.uniform(-1, 1, (11, 2)), rng.standard_normal((11, 3))
    tiles, dense = pair(X, Gaussian(0.7), "row")
    whole = tiles.averaging._tiles
    monkeypatch.setattr(streamed.StreamedAffinity, "_tiles", lambda self, size=None: whole(size)[:-1])
    assert np.abs((tiles.average(Z)) - dense.average(Z)[:8]).max() > slack(dense, Z)


@pytest.mark.parametrize("how", HOWS)
def test_gradients_of_points_and_field(how):
    g = torch.Generator().manual_seed(1)
    X = torch.rand(6, 2, dtype=torch.float64, generator=g).requires_grad_()
    Z = torch.randn(6, 1, dtype=torch.float64, generator=g).requires_grad_()

    def product(X, Z, storage="streamed"):
        return NonlocalOperator.from_points(X, Gaussian(0.8), how, storage=storage) @ Z

    if how != "sinkhorn":  # whose iterations differ from one perturbation to the next
        assert torch.autograd.gradcheck(product, (X, Z), fast_mode=True)
        assert torch.autograd.gradgradcheck(product, (X, Z), fast_mode=True)
    tiles, dense = (torch.autograd.grad((product(X, Z, s) ** 2).sum(), (X, Z)) for s in ("streamed", "dense"))
    for ours, theirs in zip(tiles, dense, strict=True):
        assert_close(ours, theirs, kind="reduction", n=64 * 36, scale=float(theirs.abs().max()))


def test_autograd_keeps_no_tiles():
    """What the graph holds on to grows like M, not like M^2."""
    assert max(kept_numbers(64, "streamed")) < 16 * 16
    assert max(kept_numbers(64, "dense")) >= 64 * 64  # control


def kept_numbers(M: int, storage: str) -> list[int]:
    """The sizes of the tensors that the graph of one product keeps."""
    X = torch.rand(M, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).requires_grad_()
    sizes: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (sizes.append(t.numel()), t)[1], lambda t: t):
        op = NonlocalOperator.from_points(X, Gaussian(0.8), "none", storage=storage)
        op @ torch.ones(M, 1, dtype=torch.float64)
    return sizes


def test_an_operator_in_numpy_acts_on_torch_fields(rng):
    X, Z = rng.uniform(-1, 1, (9, 2)), rng.standard_normal((9, 2))
    tiles, _ = pair(X, Gaussian(0.7), "row")
    field = torch.from_numpy(Z).requires_grad_()
    found = tiles @ field
    assert_close(found.detach().numpy(), tiles @ Z, kind="reduction", n=9, scale=4.0)
    (gradient,) = torch.autograd.grad(found.sum(), field)
    assert_close(gradient.numpy(), tiles.T @ np.ones((9, 2)), kind="reduction", n=9, scale=9.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("convert", [torch.as_tensor, strict], ids=["torch", "strict"])
def test_points_of_every_library(convert, dtype, rng):
    X, Z = (rng.uniform(-1, 1, shape).astype(dtype) for shape in ((9, 2), (9, 2)))
    there = NonlocalOperator.from_points(convert(X), Gaussian(0.7), "alpha", storage="streamed")
    here = NonlocalOperator.from_points(X, Gaussian(0.7), "alpha", storage="dense")
    found = np.asarray(there @ convert(Z))
    assert found.dtype == X.dtype
    assert_close(found, here @ Z, kind="reduction", n=64 * 9, scale=2.0)


def test_batches_of_points(rng):
    X, Z = rng.uniform(-1, 1, (3, 7, 2)), rng.standard_normal((3, 7, 2))
    tiles, dense = pair(X, Gaussian(0.7), "row")
    assert_close(tiles @ Z, dense @ Z, kind="reduction", n=64 * 7, scale=4.0)


@pytest.mark.parametrize("how", HOWS[1:])
def test_logarithms_beyond_the_range_of_exp(how, rng):
    """exp(x.y) of long vectors overflows; the normalised operator does not."""
    X = rng.standard_normal((9, 4)) * 20 if how != "sinkhorn" else rng.standard_normal((9, 4)) * 3 + 20
    tiles, dense = pair(X, ExpDot(1.0), how)
    size = float(np.abs(X @ X.T).max())  # of the logarithms, whose rounding the exponential carries on
    Z = rng.standard_normal((9, 2))
    assert_close(tiles.average(Z), dense.average(Z), kind="reduction", n=64 * 9, scale=size)
    with pytest.raises(DomainError, match="overflows"):
        NonlocalOperator.from_points(X * 10, ExpDot(1.0), "none", storage="streamed")


def test_symmetry_and_sign_are_measured(rng):
    X = rng.uniform(-1, 1, (9, 2))
    theta = rng.standard_normal((2, 2))
    skew = Embedded(ExpDot(1.0), theta, np.eye(2))
    assert not NonlocalOperator.from_points(X, skew, "row", storage="streamed").reversible
    assert NonlocalOperator.from_points(X, FunctionKernel(KERNELS[2].function), "row", storage="streamed").reversible
    almost = FunctionKernel(lambda X, Y: 1 + 1e-9 * X[:, :1] + (X @ Y.T) ** 2)
    assert not NonlocalOperator.from_points(X, almost, "row", storage="streamed").reversible
    signed = NonlocalOperator.from_points(X, DotProduct(), "none", storage="streamed")
    assert signed.reversible and not signed.nonnegative
    positive = NonlocalOperator.from_points(np.abs(X), DotProduct(), "none", storage="streamed")
    assert positive.nonnegative


def test_the_choice_of_the_storage(monkeypatch, rng):
    X = rng.uniform(-1, 1, (40, 2))
    assert NonlocalOperator.from_points(X, Gaussian(1.0)).storage == "dense"
    monkeypatch.setattr(of_points, "DENSE_BYTES", 40 * 40 * 8 - 1)
    assert NonlocalOperator.from_points(X, Gaussian(1.0)).storage == "streamed"
    assert NonlocalOperator.from_points(X.astype(np.float32), Gaussian(1.0)).storage == "dense"
    assert NonlocalOperator.from_points(X, Gaussian(1.0), storage="dense").storage == "dense"


def test_refusals(rng):
    X = rng.uniform(-1, 1, (9, 2))
    with pytest.raises(ChoiceError, match="streamed"):
        NonlocalOperator.from_points(X, Gaussian(1.0), storage="cloud")
    with pytest.raises(NormalizationError, match="row"):
        NonlocalOperator.from_points(X - X.mean(0), DotProduct(), "row", storage="streamed")
    with pytest.raises(ChoiceError, match="to_csr"):
        NonlocalOperator.from_points(X, Gaussian(1.0), storage="streamed").to_csr()
    with pytest.raises(ShapeError, match="positions"):
        NonlocalOperator.from_points(X, Gaussian(1.0), storage="streamed") @ X[:4]
