"""One definition in every array library: equal values, first and second derivatives, nothing that breaks tracing."""

import array_api_strict
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from nlmodel._arrays import to_numpy
from nlmodel.kernels import (
    Concatenation,
    Dirac,
    DotProduct,
    Embedded,
    ExpDot,
    Exponential,
    FunctionKernel,
    Gaussian,
    InverseDistance,
    Power,
    TopHat,
    TruncatedGaussian,
)
from nlmodel.testing import assert_close


THETA = [[1.0, -0.5, 0.25], [0.5, 1.0, -1.0]]
PHI = [[0.25, 1.0, 0.5], [-1.0, 0.5, 0.75]]
LEFT, RIGHT = [1.0, -0.5, 0.75], [0.5, 1.0, -0.25]

KERNELS = {
    "Gaussian": lambda of: Gaussian(0.7),
    "ExpDot": lambda of: ExpDot(1.3),
    "DotProduct": lambda of: DotProduct(),
    "Dirac": lambda of: Dirac(),
    "Concatenation": lambda of: Concatenation(of(LEFT), of(RIGHT)),
    "Embedded": lambda of: Embedded(Gaussian(), of(THETA), of(PHI)),
    "FunctionKernel": lambda of: FunctionKernel(lambda X, Y: X @ Y.T),
    "TopHat": lambda of: TopHat(1.5, 3),
    "TruncatedGaussian": lambda of: TruncatedGaussian(2.0, 0.8, 3),
    "Exponential": lambda of: Exponential(2.0, 0.8, 3),
    "InverseDistance": lambda of: InverseDistance(2.0, 3),
    "Power": lambda of: Power(2.0, 1.5, 3),
}
LIBRARIES = {
    "torch": lambda dtype: lambda x: torch.tensor(x, dtype=getattr(torch, dtype)),
    "strict": lambda dtype: lambda x: array_api_strict.asarray(x, dtype=getattr(array_api_strict, dtype)),
}


def numpy_of(dtype):
    return lambda x: np.asarray(x, dtype=dtype)


def size(omega):
    """Terms of an entry: exponents and scalar products of three entries of size up to 2."""
    return 16 * float(np.max(np.abs(omega), initial=1.0))


@given(
    seed=st.integers(0, 2**32 - 1),
    library=st.sampled_from(sorted(LIBRARIES)),
    dtype=st.sampled_from(["float64", "float32"]),
)
@settings(max_examples=40)
def test_numpy_torch_and_strict_agree(seed, library, dtype):
    rng = np.random.default_rng(seed)
    X, Y = rng.uniform(-2, 2, (4, 3)), rng.uniform(-2, 2, (5, 3))
    Y[0] = X[0]
    here, there = numpy_of(dtype), LIBRARIES[library](dtype)
    for make in KERNELS.values():
        expected = make(here)(here(X), here(Y))
        actual = make(there)(there(X), there(Y))
        assert type(actual) is type(there(X)) and actual.dtype == there(X).dtype
        assert expected.dtype == here(X).dtype
        assert_close(to_numpy(actual), expected, "elementwise", scale=size(expected))


def test_single_precision_is_not_secretly_double():
    """The control of the dtype check: a kernel that computes in float64 is caught."""

    def leaky(X, Y):
        return (X.astype(np.float64) @ Y.T.astype(np.float64)).astype(np.float64)

    X = np.ones((2, 3), dtype=np.float32)
    with pytest.raises(Exception, match="share dtype"):
        FunctionKernel(leaky)(X)


def tensors(seed=0, spread=1.0):
    rng = np.random.default_rng(seed)
    return [torch.tensor(spread * rng.standard_normal((n, 3)), requires_grad=True) for n in (3, 4)]


def double(x):
    return torch.tensor(x, dtype=torch.float64)


@pytest.mark.parametrize("name", [name for name in KERNELS if name not in ("Dirac", "TopHat")])
def test_first_and_second_derivatives(name):
    kernel = KERNELS[name](double)
    X, Y = tensors(spread=0.3)
    assert gradcheck(kernel, (X, Y))
    assert gradgradcheck(kernel, (X, Y))


@pytest.mark.parametrize("name", ["Gaussian", "ExpDot", "DotProduct", "Embedded", "TruncatedGaussian"])
def test_derivatives_at_coincident_points(name):
    kernel = KERNELS[name](double)
    X = double([[0.1, 0.2, 0.3], [0.1, 0.2, 0.3]]).requires_grad_()
    Y = double([[0.1, 0.2, 0.3]]).requires_grad_()
    assert gradcheck(kernel, (X, Y))
    assert gradgradcheck(kernel, (X, Y))


@pytest.mark.parametrize("name", list(KERNELS))
def test_gradients_stay_finite_at_coincident_points_and_single_points(name):
    kernel = KERNELS[name](double)
    for X in (double([[0.1, 0.2, 0.3], [0.1, 0.2, 0.3], [0.0, 0.0, 0.0]]), double([[0.5, 0.5, 0.5]])):
        X.requires_grad_()
        total = torch.sum(kernel(X) ** 2)
        if total.requires_grad:
            (gradient,) = torch.autograd.grad(total, X)
            assert bool(torch.all(torch.isfinite(gradient)))


def test_a_bare_square_root_has_no_gradient_at_coincident_points():
    """The control: the distance without a guard gives NaN, although the function itself is harmless."""

    def distance(X, Y):
        return torch.exp(-torch.sqrt(torch.sum((X[:, None, :] - Y[None, :, :]) ** 2, dim=-1)))

    X = double([[0.1, 0.2, 0.3], [0.1, 0.2, 0.3]]).requires_grad_()
    (gradient,) = torch.autograd.grad(torch.sum(FunctionKernel(distance)(X)), X)
    assert bool(torch.any(torch.isnan(gradient)))


def test_embeddings_and_functionals_are_differentiable():
    X = double([[0.3, -0.2, 0.5], [1.0, 0.4, -0.6]])
    theta, phi = double(THETA).requires_grad_(), double(PHI).requires_grad_()
    left, right = double(LEFT).requires_grad_(), double(RIGHT).requires_grad_()

    def embedded(theta, phi):
        return Embedded(Gaussian(), theta, phi)(X)

    def concatenated(left, right):
        return Concatenation(left, right)(X)

    for function, inputs in ((embedded, (theta, phi)), (concatenated, (left, right))):
        assert gradcheck(function, inputs)
        assert gradgradcheck(function, inputs)


@pytest.mark.parametrize("name", list(KERNELS))
def test_definitions_do_not_branch_on_values(name):
    """vmap refuses every bool(tensor), as a tracing compiler does."""
    kernel = KERNELS[name](double)
    X, Y = (torch.stack([x.detach(), 2 * x.detach()]) for x in tensors())
    mapped = torch.vmap(kernel.evaluate)(X, Y)
    assert_close(mapped[1], kernel.evaluate(X[1], Y[1]), "elementwise", scale=size(to_numpy(mapped)))


def test_the_guarded_call_does_branch_on_values():
    X = torch.zeros(2, 3, 3)
    with pytest.raises(RuntimeError, match="data-dependent control flow"):
        torch.vmap(Gaussian())(X, X)


def test_symbol_and_moments_do_not_depend_on_the_library():
    k = np.array([0.0, 1.0, 20.0], dtype=np.float32)
    kernel = TopHat(0.5)
    assert kernel.symbol(k).dtype == np.float32
    assert_close(kernel.symbol(torch.tensor(k)), kernel.symbol(k), "exact")
    assert_close(kernel.symbol(k), kernel.symbol(k.astype(np.float64)).astype(np.float32), "exact")
    assert kernel.symbol(1.0) == kernel.symbol(np.array([1.0]))[0]
