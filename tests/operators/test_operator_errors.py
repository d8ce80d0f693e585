"""Bad input: for each public function the error class and what its message names."""

import math

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from nlmodel import NonlocalOperator, normalize
from nlmodel.errors import (
    ChoiceError,
    ConvergenceError,
    DomainError,
    DtypeError,
    NlmodelError,
    NonFiniteError,
    NormalizationError,
    NotReversibleError,
    ShapeError,
)
from nlmodel.kernels import DotProduct, ExpDot, Gaussian, InverseDistance, TopHat
from nlmodel.operators import Diagonal
from nlmodel.testing import assert_close


GOOD = np.array([[1.0, 0.5], [0.5, 1.0]])
X = np.array([[0.0, 1.0], [2.0, 3.0], [1.0, 1.0]])
OP = NonlocalOperator.from_affinity(GOOD)
LOPSIDED = NonlocalOperator.from_affinity(np.array([[1.0, 0.5], [0.2, 1.0]]))


def with_entry(value, dtype=float):
    bad = GOOD.astype(dtype)
    bad[0, 1] = value
    return bad


AFFINITIES = [
    (with_entry(np.nan), NonFiniteError, "omega must be finite"),
    (with_entry(np.inf), NonFiniteError, "omega must be finite"),
    (np.eye(2, dtype=int), DtypeError, "omega must be a real floating-point array.*int"),
    (GOOD.astype(complex), DtypeError, "complex128"),
    (np.ones((2, 3)), ShapeError, r"square.*\(2, 3\)"),
    (np.ones(3), ShapeError, "at least 2 dimensions|square"),
    (np.ones((0, 0)), ShapeError, "empty"),
    ([[1.0, 0.5], [0.5, 1.0]], DtypeError, "expected arrays of one library"),
    (np.array([[1.0, -2.0], [-2.0, 1.0]]), NormalizationError, "row 0"),
    (np.array([[0.0, 0.0], [0.0, 1.0]]), NormalizationError, "row 0: 0"),
    (GOOD.astype(np.float16), DtypeError, "double or single precision.*float16"),
    (torch.asarray(GOOD).to(torch.bfloat16), DtypeError, "double or single precision.*bfloat16"),
    (np.ma.masked_array(GOOD, GOOD > 0.7), DtypeError, "plain array.*MaskedArray"),
    (np.asmatrix(GOOD), DtypeError, "plain array.*matrix"),
    (torch.asarray(GOOD).to_sparse(), DtypeError, "plain array.*sparse"),
]


@pytest.mark.parametrize(("omega", "error", "message"), AFFINITIES)
@pytest.mark.parametrize("make", [normalize, NonlocalOperator.from_affinity])
def test_bad_affinities(make, omega, error, message):
    with pytest.raises(error, match=message):
        make(omega)


SPARSE = [
    (csr_array(np.array([[np.nan, 1.0], [1.0, 1.0]])), NonFiniteError, "finite"),
    (csr_array(np.eye(2, dtype=int)), DtypeError, "int"),
    (csr_array(np.ones((2, 3))), ShapeError, r"\(2, 3\)"),
    (csr_array((2, 2), dtype=float), NormalizationError, "2 such rows"),
]


@pytest.mark.parametrize(("omega", "error", "message"), SPARSE)
def test_bad_sparse_affinities(omega, error, message):
    with pytest.raises(error, match=message):
        NonlocalOperator.from_affinity(omega)


CALLS = [
    (lambda: normalize(GOOD, "rows"), ChoiceError, "'none', 'row', 'symmetric', 'sinkhorn', 'alpha'"),
    (lambda: NonlocalOperator.from_affinity(GOOD, "rows"), ChoiceError, "normalize must be one of"),
    (
        lambda: NonlocalOperator.from_points(X, Gaussian(1.0), storage="csr"),
        ChoiceError,
        "storage must be one of",
    ),
    (
        lambda: NonlocalOperator.on_grid(8, TopHat(0.3), 0.1, boundary="open"),
        ChoiceError,
        "'periodic', 'free'",
    ),
    (lambda: normalize(np.array([[1.0, 0.5], [0.2, 1.0]]), "sinkhorn"), DomainError, "not symmetric"),
    (lambda: normalize(np.array([[3.0, -0.5], [-0.5, 3.0]]), "sinkhorn"), DomainError, "negative"),
    (
        lambda: normalize(np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]), "sinkhorn"),
        ConvergenceError,
        "Sinkhorn",
    ),
    (lambda: normalize(GOOD, weights=-1.0), DomainError, "weights must be > 0"),
    (lambda: normalize(GOOD, weights=np.ones(3)), ShapeError, "3 for 2"),
    (lambda: normalize(GOOD, weights=np.array([1.0, 0.0])), DomainError, "positive"),
    (lambda: normalize(GOOD, weights=np.ones(2, dtype=np.float32)), DtypeError, "float32"),
    (lambda: normalize(GOOD, weights=np.float32(0)), DomainError, "weights must be > 0"),
    (lambda: normalize(GOOD, weights=True), DtypeError, "weights must be a real number.*bool"),
    (lambda: normalize(GOOD, weights=[1.0, 1.0]), DtypeError, "one library"),
    (lambda: normalize(GOOD, np.ones(2)), ChoiceError, "normalize must be one of"),
    (lambda: normalize(GOOD, "alpha", alpha=np.nan), NonFiniteError, "alpha"),
    (lambda: NonlocalOperator.from_affinity(csr_array(GOOD), log=True), DomainError, "logarithm.*dense.*exp"),
    (lambda: NonlocalOperator.from_points(X, TopHat(1.0), storage="sparse"), ShapeError, r"length 1.*\(3, 2\)"),
    (lambda: NonlocalOperator.from_points(X, TopHat(1.0), storage="dense"), ShapeError, r"length 1.*\(3, 2\)"),
    (lambda: normalize(np.array([[0.0, np.nan], [0.0, 0.0]]), log=True), DomainError, "log omega"),
    (lambda: NonlocalOperator.from_points(X * 100, ExpDot(), "none"), DomainError, "overflows"),
    (lambda: NonlocalOperator.from_points(X - 1.2, DotProduct()), NormalizationError, "dot product"),
    (lambda: NonlocalOperator.from_points(X, Gaussian(1.0), storage="sparse"), DomainError, "finite horizon"),
    (
        lambda: NonlocalOperator.from_points(torch.asarray(X), TopHat(1.0, 2), storage="sparse"),
        DtypeError,
        "NumPy",
    ),
    (lambda: NonlocalOperator.on_grid((4, 4), TopHat(0.3), 0.1), ShapeError, "kernel of dimension 1"),
    (lambda: NonlocalOperator.on_grid(4, Gaussian(1.0), 0.1), DtypeError, "spatial kernel"),
    (lambda: NonlocalOperator.on_grid(0, TopHat(0.3), 0.1), DomainError, "shape"),
    (lambda: NonlocalOperator.on_grid(4, TopHat(0.3), -0.1), DomainError, "spacing"),
    (lambda: NonlocalOperator.on_grid(4, TopHat(0.3), 0.1, dtype=int), DtypeError, "float64 or float32"),
    (lambda: NonlocalOperator.on_grid(4, TopHat(0.3), 0.1, dtype=torch.float32), DtypeError, "torch.float32"),
    (lambda: NonlocalOperator.on_grid(4, TopHat(0.3), 0.1, dtype="double dutch"), DtypeError, "double dutch"),
    (
        lambda: NonlocalOperator.on_grid(4, InverseDistance(0.05), 0.1, normalize="row"),
        NormalizationError,
        "4 such rows",
    ),
    (lambda: OP @ np.array([1.0, np.nan]), NonFiniteError, "Z must be finite"),
    (lambda: OP @ np.ones((3, 1)), ShapeError, "2 positions"),
    (lambda: OP @ np.ones((2, 1), dtype=int), DtypeError, "int"),
    (lambda: OP @ np.ones((2, 1), dtype=np.float32), DtypeError, "precision"),
    (lambda: OP @ [1.0, 2.0], DtypeError, "one library"),
    (lambda: OP.average(np.ones(3)), ShapeError, "2 positions"),
    (lambda: OP @ NonlocalOperator.from_affinity(np.ones((3, 3))), ShapeError, "do not fit"),
    (lambda: OP + NonlocalOperator.from_affinity(GOOD.astype(np.float32)), DtypeError, "precision"),
    (lambda: OP.to_csr(), ChoiceError, "sparse storage"),
    (lambda: math.nan * OP, NonFiniteError, "factor"),
    (lambda: 1j * OP, TypeError, "unsupported operand"),
    (lambda: Diagonal([1.0, 2.0]), DtypeError, "one library"),
    (lambda: Diagonal(np.array([1, 2])), DtypeError, "entries.*int"),
    (lambda: OP.inner(np.ones(3), np.ones(2)), ShapeError, "Y must have 2 positions"),
    (lambda: OP.inner(np.ones((2, 3)), np.ones((2, 2))), ShapeError, r"channels.*\(2, 3\) and \(2, 2\)"),
    (lambda: OP.energy(np.ones(3)), ShapeError, "2 positions"),
    (lambda: OP.adjoint([1.0, 1.0]), DtypeError, "one library"),
    (lambda: OP.adjoint(np.array([1.0, 0.0])), DomainError, "measure must be positive"),
    (lambda: OP.adjoint(np.ones(3)), ShapeError, "3 for 2"),
    (lambda: LOPSIDED.inner(np.ones(2), np.ones(2)), NotReversibleError, "inner"),
    (lambda: LOPSIDED.energy(np.ones(2)), NotReversibleError, "energy|inner"),
    (lambda: LOPSIDED.mean(np.ones(2)), NotReversibleError, "mean"),
    (lambda: LOPSIDED.adjoint(), NotReversibleError, "adjoint"),
    (lambda: LOPSIDED.symmetrized(), NotReversibleError, "symmetrized"),
    (lambda: NonlocalOperator.from_affinity(np.ones((2, 3, 3))).to_scipy(), ShapeError, "batch"),
]


@pytest.mark.parametrize(("call", "error", "message"), CALLS)
def test_bad_calls(call, error, message):
    with pytest.raises(error, match=f"(?s){message}") as caught:
        call()
    assert isinstance(caught.value, NlmodelError) == (error is not TypeError)


def test_one_point_and_duplicate_points():
    one = NonlocalOperator.from_points(np.array([[3.0]]), Gaussian(1.0))
    assert np.array_equal(one @ np.array([5.0]), [0.0])
    twins = NonlocalOperator.from_points(np.zeros((3, 1)), Gaussian(1.0))
    assert_close(twins.to_dense() + np.eye(3), np.full((3, 3), 1 / 3), "reduction", n=3)


def test_two_islands():
    """A disconnected graph is no error: each island keeps its own constants."""
    op = NonlocalOperator.from_points(np.array([[0.0], [0.1], [5.0], [5.1]]), TopHat(1.0))
    assert np.array_equal(op @ np.array([1.0, 1.0, 7.0, 7.0]), np.zeros(4))
