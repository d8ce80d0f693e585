"""One process alone: what an operator says of itself, and what it says to bad calls."""

import re

import numpy as np
import pytest
import torch

from nlmodel import NonlocalOperator
from nlmodel.distributed import DistributedOperator, Processes, processes
from nlmodel.errors import (
    ChoiceError,
    DomainError,
    DtypeError,
    NonFiniteError,
    NormalizationError,
    NotReversibleError,
    ShapeError,
)
from nlmodel.kernels import Embedded, ExpDot, FunctionKernel, Gaussian, TopHat
from nlmodel.testing import assert_close


X = torch.linspace(0, 1, 10, dtype=torch.float64).reshape(5, 2)
Z = torch.arange(15, dtype=torch.float64).reshape(5, 3)
make = DistributedOperator.from_points


@pytest.fixture(scope="module", autouse=True)
def alone():
    with processes(timeout=5) as mine:
        yield mine


def test_one_process_is_all(alone):
    op = make(X, Gaussian())
    assert (alone.rank, alone.count, alone.device) == (0, 1, torch.device("cpu"))
    assert op.shape == (5, 5) and op.part == slice(0, 5) and op.dtype == torch.float64
    assert op.reversible and op.nonnegative and "contraction" in op.keeps
    assert repr(op) == (
        "DistributedOperator(shape=(5, 5), process 0 of 1, normalize='row', dtype=torch.float64, reversible=True)"
    )
    assert_close(op @ Z[:, 0], (op @ Z)[:, 0], "exact")
    assert_close(op.mean(Z[:, 0]), op.mean(Z)[0])
    assert_close(op.gather(Z), Z, "exact")
    assert op.T.T is op


def test_large_exponents_do_not_overflow():
    points = 60 * X  # logits up to 6480 in float64, whose exp() overflows
    one = NonlocalOperator.from_points(points, ExpDot(), "row")
    op = make(points, ExpDot(), "row")
    assert_close(op @ Z, one @ Z, "reduction", n=5, scale=14 * 6480.0)
    assert bool(torch.isfinite(op.measure).all())
    with pytest.raises(DomainError, match="overflows"):
        make(points, ExpDot(), "none")


def test_measured_laws():
    def skew(X, Y):
        return 1 + X[:, :1] * Y[:, 1:].mT

    op = make(X, FunctionKernel(skew))
    assert not op.reversible and op.nonnegative and op.keeps == {"constants", "maximum_principle"}
    signed = make(X, FunctionKernel(lambda X, Y: 0.1 - X @ Y.mT), "none")
    assert signed.reversible and not signed.nonnegative
    for call in (op.energy, op.mean, lambda Z: op.inner(Z, Z)):
        with pytest.raises(NotReversibleError, match="needs a measure"):
            call(Z)


def test_second_derivatives_are_refused():
    points = X.clone().requires_grad_()
    (slope,) = torch.autograd.grad(make(points, Gaussian()).energy(Z), points, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


BAD = {
    "array": (lambda: make(X.numpy(), Gaussian()), DtypeError, "X must be a torch tensor: got ndarray"),
    "integers": (lambda: make(X.long(), Gaussian()), DtypeError, "X must be a real floating-point array"),
    "half": (lambda: make(X.half(), Gaussian()), DtypeError, "double or single precision"),
    "one dimension": (lambda: make(X[:, 0], Gaussian()), ShapeError, "X must have 2 dimensions"),
    "batch": (lambda: make(X[None], Gaussian()), ShapeError, "X must have 2 dimensions"),
    "empty": (lambda: make(X[:0], Gaussian()), ShapeError, "X must not be empty"),
    "NaN": (lambda: make(X * torch.nan, Gaussian()), NonFiniteError, "X must be finite"),
    "infinity": (lambda: make(X / 0, Gaussian()), NonFiniteError, "X must be finite"),
    "device": (lambda: make(X.to("meta"), Gaussian()), DtypeError, "X must be on the device|finite"),
    "features": (lambda: make(X, TopHat(1.0, 3)), ShapeError, "vectors of length 3"),
    "kernel": (lambda: make(X, "gaussian"), DtypeError, "kernel"),
    "sinkhorn": (lambda: make(X, Gaussian(), "sinkhorn"), ChoiceError, "normalize must be one of 'none', 'row'"),
    "alpha": (lambda: make(X, Gaussian(), "alpha", alpha=np.nan), NonFiniteError, "alpha must be finite"),
    "weight": (lambda: make(X, Gaussian(), weights=0.0), DomainError, "weights must be > 0"),
    "weights": (lambda: make(X, Gaussian(), weights=X[:3, 0] + 1), ShapeError, "one entry a position: got 3 for 5"),
    "row sum": (lambda: make(X, FunctionKernel(lambda X, Y: 0 * (X @ Y.mT))), NormalizationError, "must be positive"),
    "theta": (
        lambda: make(X, Embedded(Gaussian(), torch.eye(2, dtype=X.dtype).requires_grad_())),
        DomainError,
        "arrays of the kernel must not require a gradient",
    ),
    "field of NumPy": (lambda: make(X, Gaussian()) @ Z.numpy(), DtypeError, "Z must be a torch tensor"),
    "field in single": (lambda: make(X, Gaussian()) @ Z.float(), DtypeError, "must share their precision"),
    "field of integers": (lambda: make(X, Gaussian()) @ Z.long(), DtypeError, "Z must be a real floating-point"),
    "rows": (lambda: make(X, Gaussian()) @ Z[:4], ShapeError, re.escape("Z must have shape (5, channels) or (5,)")),
    "field of three": (lambda: make(X, Gaussian()) @ Z[None], ShapeError, "Z must have shape"),
    "channels": (lambda: make(X, Gaussian()).inner(Z, Z[:, :2]), ShapeError, "the same channels"),
    "twice": (lambda: processes().__enter__(), DomainError, "must not be connected already"),
    "backend": (lambda: processes(backend="mpi").__enter__(), ChoiceError, "backend must be one of"),
    "time-out": (lambda: processes(timeout=0).__enter__(), DomainError, "timeout must be > 0"),
    "few": (lambda: Processes(0, 4, X.device).part(3), DomainError, "every process needs a position"),
}


@pytest.mark.parametrize("words", BAD)
def test_bad_calls(words):
    call, error, match = BAD[words]
    with pytest.raises(error, match=match):
        call()


def test_parts_are_even_and_cover_all():
    ends = [Processes(rank, 4, X.device).part(10) for rank in range(4)]
    assert [(s.start, s.stop) for s in ends] == [(0, 2), (2, 5), (5, 7), (7, 10)]
