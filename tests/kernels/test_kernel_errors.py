"""Bad input, one line each: what is called, which error it raises, and what the message names."""

import math

import numpy as np
import pytest
import torch

from nlmodel import kernels as k
from nlmodel.errors import DomainError, DtypeError, NlmodelError, NonFiniteError, ShapeError


X = np.zeros((3, 2))
NAN, INF = np.array([[0.0, np.nan]]), np.array([[np.inf, 0.0]])
THETA = np.ones((2, 2))
G = k.Gaussian()

CALLS = [
    ("NaN", lambda: G(NAN), NonFiniteError, "X must be finite"),
    ("infinity", lambda: G(X, INF), NonFiniteError, "Y must be finite"),
    ("integers", lambda: G(np.ones((2, 2), dtype=int)), DtypeError, "real floating(.|\n)*int64"),
    ("complex", lambda: G(X + 1j), DtypeError, "complex128"),
    ("boolean", lambda: G(X > 0), DtypeError, "bool"),
    ("list", lambda: G([[1.0]]), DtypeError, "arrays of one library"),
    ("nothing", lambda: G(None), DtypeError, "arrays of one library"),
    ("mixed dtype", lambda: G(X, X.astype(np.float32)), DtypeError, "Y and X must share dtype"),
    ("mixed library", lambda: G(X, torch.zeros(3, 2)), DtypeError, "arrays of one library"),
    ("vector", lambda: G(np.zeros(3)), ShapeError, "X must have at least 2 dimensions"),
    ("no points", lambda: G(np.zeros((0, 2))), ShapeError, "X must not be empty"),
    ("no features", lambda: G(X, np.zeros((3, 0))), ShapeError, "Y must not be empty"),
    ("feature mismatch", lambda: G(X, np.zeros((3, 1))), ShapeError, r"X \(3, 2\), Y \(3, 1\)"),
    ("batch mismatch", lambda: G(np.zeros((2, 3, 2)), np.zeros((3, 3, 2))), ShapeError, "batch"),
    ("wrong dimension", lambda: k.TopHat(1.0, 3)(X), ShapeError, "vectors of length 3"),
    ("log of a power", lambda: k.DotProduct().log(X), DomainError, "no log-affinity"),
    ("log of NaN", lambda: G.log(NAN), NonFiniteError, "X must be finite"),
    ("overflowing exp", lambda: k.ExpDot()(X + 30), DomainError, "largest logit 1800"),
    ("overflowing logit", lambda: k.ExpDot().log(X + 1e200), NonFiniteError, "logarithm of the affinity"),
    ("infinite logit", lambda: k.ExpDot()(X + 1e200), DomainError, "largest logit inf"),
    ("overflowing product", lambda: k.DotProduct()(X + 1e200), NonFiniteError, "the affinity must be finite"),
    ("theta of another dtype", lambda: k.Embedded(G, THETA.astype(np.float32))(X), DtypeError, "theta and X"),
    ("theta of another width", lambda: k.Embedded(G, np.ones((2, 3)))(X), ShapeError, "vectors of length 3"),
    ("NaN in theta", lambda: k.Embedded(G, THETA * np.nan)(X), NonFiniteError, "theta must be finite"),
    ("NaN inside", lambda: k.Embedded(k.Concatenation(NAN[0], X[0]), THETA)(X), NonFiniteError, "kernel.left"),
    ("function shape", lambda: k.FunctionKernel(lambda X, Y: X)(X), ShapeError, r"must return shape \(3, 3\)"),
    ("function result", lambda: k.FunctionKernel(lambda X, Y: 1.0)(X), DtypeError, "one library"),
    ("function dtype", lambda: k.FunctionKernel(lambda X, Y: (X @ Y.T) > 0)(X), DtypeError, "bool"),
    ("function NaN", lambda: k.FunctionKernel(lambda X, Y: X @ Y.T * np.nan)(X), NonFiniteError, "affinity"),
    ("negative distance", lambda: k.TopHat(1.0).profile(-X), None, None),
    ("a negative distance", lambda: k.TopHat(1.0).profile(X - 1), DomainError, "distance, >= 0"),
    ("NaN distance", lambda: k.TopHat(1.0).profile(NAN), NonFiniteError, "r must be finite"),
    ("integer distance", lambda: k.TopHat(1.0).profile(np.arange(3)), DtypeError, "int64"),
    ("negative wave number", lambda: k.TopHat(1.0).symbol(np.array([-1.0])), DomainError, r"wave numbers \|k\| >= 0"),
    ("NaN wave number", lambda: k.TopHat(1.0).symbol(NAN), NonFiniteError, "k must be finite"),
    ("integer wave number", lambda: k.TopHat(1.0).symbol(np.arange(3)), DtypeError, "int64"),
    ("no wave numbers", lambda: k.TopHat(1.0).symbol(np.zeros(0)), ShapeError, "k must not be empty"),
    ("negative order", lambda: k.TopHat(1.0).moment(-1), DomainError, "order must be >= 0"),
    ("NaN order", lambda: k.TopHat(1.0).moment(math.nan), NonFiniteError, "order must be finite"),
]


@pytest.mark.parametrize(("call", "error", "message"), [c[1:] for c in CALLS], ids=[c[0] for c in CALLS])
def test_bad_calls(call, error, message):
    if error is None:
        call()
        return
    with pytest.raises(error, match=message) as caught:
        call()
    assert isinstance(caught.value, NlmodelError)


PARAMETERS = [
    ("scale 0", lambda: k.Gaussian(0.0), DomainError, "scale must be > 0: got 0"),
    ("negative scale", lambda: k.Gaussian(-1.0), DomainError, "scale"),
    ("NaN scale", lambda: k.Gaussian(math.nan), NonFiniteError, "scale"),
    ("array scale", lambda: k.Gaussian(np.ones(2)), DtypeError, "scale must be a real number"),
    ("text scale", lambda: k.Gaussian("1"), DtypeError, "scale"),
    ("temperature 0", lambda: k.ExpDot(0.0), DomainError, "temperature"),
    ("horizon 0", lambda: k.TopHat(0.0), DomainError, "horizon must be > 0"),
    ("negative horizon", lambda: k.InverseDistance(-1.0), DomainError, "horizon"),
    ("infinite horizon", lambda: k.TopHat(math.inf), NonFiniteError, "horizon must be finite"),
    ("infinite power", lambda: k.Power(math.inf, 1.0), NonFiniteError, "horizon must be finite"),
    ("NaN horizon", lambda: k.TruncatedGaussian(math.nan, 1.0), NonFiniteError, "horizon"),
    ("no scale", lambda: k.TruncatedGaussian(1.0, 0.0), DomainError, "scale"),
    ("no decay", lambda: k.Exponential(1.0, math.inf), NonFiniteError, "scale"),
    ("four dimensions", lambda: k.TopHat(1.0, 4), DomainError, "dim must be 1, 2 or 3: got 4"),
    ("no dimension", lambda: k.TopHat(1.0, 0), DomainError, "dim must be at least 1"),
    ("half a dimension", lambda: k.TopHat(1.0, 1.5), DtypeError, "dim must be a whole number"),
    ("scaled by 2", lambda: k.TopHat(1.0, 1, scaled=2), DtypeError, "scaled must be True or False"),
    ("exponent dim + 2", lambda: k.Power(1.0, 3.0, 1), DomainError, r"exponent must be < dim \+ 2 = 3: got 3"),
    ("NaN exponent", lambda: k.Power(1.0, math.nan), NonFiniteError, "exponent"),
    ("order 0", lambda: k.fractional(1.0, 0.0), DomainError, "order must be > 0 and < 1"),
    ("order 1", lambda: k.fractional(1.0, 1.0), DomainError, "order"),
    ("fractional in 2.5 d", lambda: k.fractional(1.0, 0.5, 2.5), DtypeError, "dim"),
    ("theta a vector", lambda: k.Embedded(G, np.ones(2)), ShapeError, "theta must have 2 dimensions"),
    ("theta a list", lambda: k.Embedded(G, [[1.0]]), DtypeError, "arrays of one library"),
    ("theta of integers", lambda: k.Embedded(G, np.ones((2, 2), dtype=int)), DtypeError, "theta"),
    ("phi of another shape", lambda: k.Embedded(G, THETA, np.ones((3, 2))), ShapeError, "phi must have shape"),
    ("phi of another dtype", lambda: k.Embedded(G, THETA, THETA.astype(np.float32)), DtypeError, "phi and theta"),
    ("inner length", lambda: k.Embedded(k.TopHat(1.0, 3), THETA), ShapeError, r"theta must have shape \(3, 2\)"),
    ("a class", lambda: k.Embedded(k.Gaussian, THETA), DtypeError, "kernel must be a Kernel"),
    ("unequal halves", lambda: k.Concatenation(np.ones(2), np.ones(3)), ShapeError, "left and right"),
    ("a matrix", lambda: k.Concatenation(np.ones((2, 2)), np.ones(2)), ShapeError, "left must have 1 dimensions"),
    ("two dtypes", lambda: k.Concatenation(np.ones(2), np.ones(2, np.float32)), DtypeError, "right and left"),
    ("not a function", lambda: k.FunctionKernel(3), DtypeError, "function must be callable"),
    ("law by number", lambda: k.FunctionKernel(max, symmetric=1), DtypeError, "symmetric must be True"),
    ("contradiction", lambda: k.Declared(False, None, True), DomainError, "positive_definite=True implies"),
    ("as a class", lambda: k.as_kernel(k.Gaussian), DtypeError, "construct it"),
    ("as a number", lambda: k.as_kernel(1.0), DtypeError, "kernel must be a Kernel"),
]


@pytest.mark.parametrize(("build", "error", "message"), [p[1:] for p in PARAMETERS], ids=[p[0] for p in PARAMETERS])
def test_bad_parameters(build, error, message):
    with pytest.raises(error, match=message) as caught:
        build()
    assert isinstance(caught.value, NlmodelError)


@pytest.mark.parametrize(
    "kernel", [G, k.ExpDot(), k.DotProduct(), k.Dirac(), k.TopHat(1.0, 2), k.InverseDistance(1.0, 2)], ids=repr
)
def test_one_point_and_repeated_points_are_no_mistake(kernel):
    one = kernel(np.full((1, 2), 0.5))
    assert one.shape == (1, 1)
    assert np.array_equal(kernel(np.full((3, 2), 0.5)), np.full((3, 3), one[0, 0]))


def test_inputs_are_not_changed():
    x, theta = np.linspace(0, 1, 6).reshape(3, 2), THETA.copy()
    before = x.copy()
    k.Embedded(G, theta)(x)
    k.Power(1.0, 1.5, 2)(x)
    assert np.array_equal(x, before) and np.array_equal(theta, THETA)
