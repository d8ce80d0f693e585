"""What each public function says to bad input."""

import numpy as np
import pytest
import torch

from nlmodel import NonlocalOperator
from nlmodel.errors import (
    ChoiceError,
    ConvergenceError,
    DomainError,
    DtypeError,
    NonFiniteError,
    NotReversibleError,
    ShapeError,
)
from nlmodel.kernels import DotProduct, TopHat
from nlmodel.stability import (
    amplification,
    certify,
    cfl_limit,
    joint_spectral_radius_bounds,
    lanczos,
    oversmoothing_rate,
    tied_weight,
    worst_case_limit,
)


X = np.random.default_rng(0).standard_normal((6, 2))
OP = NonlocalOperator.from_affinity(np.exp(-((X[:, None] - X[None]) ** 2).sum(-1)))
DIRECTED = NonlocalOperator.from_affinity(np.random.default_rng(0).random((6, 6)))
SIGNED = NonlocalOperator.from_points(X, DotProduct(), "none")
BATCH = NonlocalOperator.from_affinity(np.ones((2, 3, 3)))
EYE = np.eye(3)
BAD = np.array([[1.0, np.nan], [0.0, 1.0]])

WEIGHTS = [
    (np.nan, NonFiniteError, r"must be finite: got nan"),
    (np.inf, NonFiniteError, r"must be finite: got inf"),
    (complex(0, np.nan), NonFiniteError, r"must be finite"),
    (BAD, NonFiniteError, r"must be finite"),
    (np.eye(2, dtype=int), DtypeError, r"must be a real or complex floating-point array: got dtype int64"),
    (
        torch.eye(2, dtype=torch.int64),
        DtypeError,
        r"must be a real or complex floating.*torch.int64",
    ),
    (True, DtypeError, r"must be None, a real or complex number.*got bool"),
    ("1", DtypeError, r"must be None, a real or complex number.*got str"),
    ([[1.0]], DtypeError, r"must be None, a real or complex number.*got list"),
    (np.eye(2, dtype=np.float16), DtypeError, r"must be in double or single precision: got dtype float16"),
    (torch.eye(2, dtype=torch.bfloat16), DtypeError, r"must be in double or single precision"),
    (np.bool_(True), DtypeError, r"must be a"),
    (np.ones(3), ShapeError, r"must have 2 dimensions: got shape \(3,\)"),
    (np.array(np.nan), NonFiniteError, "must be finite"),
    (np.array(2), DtypeError, "must be a real or complex floating"),
    (10**400, NonFiniteError, "must be finite"),
    (np.ones((2, 3)), ShapeError, r"must be square.*got shape \(2, 3\)"),
    (np.ones((1, 2, 2)), ShapeError, r"must have 2 dimensions"),
    (np.ones((0, 0)), ShapeError, r"must not be empty"),
]


@pytest.mark.parametrize(("weight", "error", "message"), WEIGHTS)
def test_bad_weights(weight, error, message):
    for norm in ("spectral", "energy", "max"):
        with pytest.raises(error, match="weight " + message):
            cfl_limit(OP, weight, norm)
    with pytest.raises(error, match="weight " + message):
        worst_case_limit(weight)
    for function in (certify, amplification):
        with pytest.raises(error, match=r"weights\[1\] " + message):
            function(OP, [0.5, weight])
    with pytest.raises(error, match=r"matrices\[0\] " + message):
        joint_spectral_radius_bounds([weight])


@pytest.mark.parametrize("function", [cfl_limit, lambda op: certify(op, [1.0])])
def test_bad_operators(function):
    with pytest.raises(DtypeError, match=r"op must be a NonlocalOperator: got ndarray"):
        function(np.eye(3))
    with pytest.raises(DtypeError, match=r"op must be a NonlocalOperator: got Sum"):
        function(OP + OP)
    with pytest.raises(ShapeError, match=r"one operator at a time: got a batch of shape \(2,\)"):
        function(BATCH)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: cfl_limit(OP, 1.0, "l2"), ChoiceError, r"norm must be one of 'spectral', 'energy', 'max': got 'l2'"),
        (lambda: cfl_limit(OP, method="qr"), ChoiceError, r"method must be one of 'auto', 'exact'"),
        (lambda: cfl_limit(DIRECTED, norm="energy"), NotReversibleError, r'norm="energy" needs a measure'),
        (lambda: cfl_limit(DIRECTED, method="lanczos"), NotReversibleError, r"Lanczos needs .* self-adjoint"),
        (lambda: cfl_limit(SIGNED, method="gershgorin"), DomainError, r"(?s)needs K >= 0.*exact.*lanczos"),
        (lambda: worst_case_limit(1.0, "sparse"), ChoiceError, r"family must be one of 'markov'"),
        (lambda: certify(OP, []), ShapeError, r"weights must not be empty"),
        (lambda: certify(OP, 0.5), DtypeError, r"weights must be a sequence"),
        (lambda: certify(OP, "ab"), DtypeError, r"weights must be a sequence"),
        (lambda: certify(OP, np.array(0.5)), DtypeError, r"weights must be a sequence"),
        (lambda: certify(OP, None), DtypeError, r"weights must be a sequence"),
        (lambda: certify(OP, EYE), ShapeError, r"weights\[0\] must have 2 dimensions"),
        (lambda: certify(OP, [EYE, np.eye(2)]), ShapeError, r"one number of channels: got C = \[2, 3\]"),
        (lambda: amplification(BATCH, [1.0]), ShapeError, r"one operator at a time"),
        (lambda: amplification(np.array([1, 2]), [1.0]), DtypeError, r"modes must be a real or complex"),
        (lambda: amplification([0.5], [1.0]), DtypeError, r"expected arrays of one library"),
        (lambda: amplification(EYE, [1.0]), ShapeError, r"modes must have 1 dimensions"),
        (lambda: amplification(np.array([np.nan]), [1.0]), NonFiniteError, r"modes must be finite"),
        (lambda: amplification(np.zeros(0), [1.0]), ShapeError, r"modes must not be empty"),
        (lambda: joint_spectral_radius_bounds([]), ShapeError, r"matrices must not be empty"),
        (lambda: joint_spectral_radius_bounds([EYE], 0), DomainError, r"depth must be at least 1: got 0"),
        (lambda: joint_spectral_radius_bounds([EYE], 1.5), DtypeError, r"depth must be a whole number"),
        (lambda: joint_spectral_radius_bounds([EYE] * 8, 9), DomainError, r"(?s)8\^9 products.*smaller depth"),
        (lambda: tied_weight([[1.0]]), DtypeError, r"expected arrays of one library"),
        (lambda: tied_weight(np.ones((2, 2), complex)), DtypeError, r"B must be a real floating"),
        (lambda: tied_weight(np.ones((2, 2), int)), DtypeError, r"B must be a real floating"),
        (lambda: tied_weight(BAD), NonFiniteError, r"B must be finite"),
        (lambda: tied_weight(np.ones(3)), ShapeError, r"B must have at least 2 dimensions"),
        (lambda: tied_weight(np.ones((2, 0))), ShapeError, r"B must not be empty"),
        (lambda: tied_weight(EYE, 0.0), DomainError, r"s_max must be > 0"),
        (lambda: tied_weight(EYE, -1.0), DomainError, r"s_max must be > 0"),
        (lambda: tied_weight(EYE, np.inf), NonFiniteError, r"s_max must be finite"),
        (lambda: oversmoothing_rate(1.1, 0.5, 2), DomainError, r"dobrushin must be <= 1"),
        (lambda: oversmoothing_rate(-0.1, 0.5, 2), DomainError, r"dobrushin must be >= 0"),
        (lambda: oversmoothing_rate(0.5, 1.5, 2), DomainError, r"mu must be <= 1"),
        (lambda: oversmoothing_rate(0.5, np.nan, 2), NonFiniteError, r"mu must be finite"),
        (lambda: oversmoothing_rate(0.5, 0.5, -1), DomainError, r"blocks must be at least 0"),
        (lambda: oversmoothing_rate(0.5, 0.5, 2.0), DtypeError, r"blocks must be a whole number"),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_too_large_for_a_dense_certificate(monkeypatch):
    from nlmodel.stability import certification

    monkeypatch.setattr(certification, "EXACT_UP_TO", 5)
    with pytest.raises(DomainError, match=r"(?s)at most 5 positions: got 6 positions.*cfl_limit works"):
        certify(DIRECTED, [1.0])
    assert certify(OP, [1.0]).verdict == "contractive"


def test_lanczos_that_does_not_converge(monkeypatch):
    monkeypatch.setattr(lanczos, "MOST_STEPS", 5)
    op = NonlocalOperator.on_grid(500, TopHat(0.01), 0.002)
    with pytest.raises(ConvergenceError, match=r"(?s)residual .* after 5 steps.*gershgorin"):
        cfl_limit(op, method="lanczos")


def test_inputs_are_left_alone():
    W = np.array([[0.5, 0.1], [0.0, 0.4]])
    copy = W.copy()
    for norm in ("spectral", "energy", "max"):
        cfl_limit(OP, W, norm)
    certify(OP, [W, W])
    joint_spectral_radius_bounds([W])
    tied_weight(W)
    assert np.array_equal(W, copy)
