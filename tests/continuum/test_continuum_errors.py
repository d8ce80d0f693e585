"""Bad input: for each public function the error class and what its message names."""

import math
from dataclasses import KW_ONLY, dataclass

import numpy as np
import pytest
import torch

from nlmodel.continuum import (
    compatible_operator,
    compatible_weights,
    riemann_weights,
    second_moment_defect,
    stencil_operator,
    volume_constrained_solve,
)
from nlmodel.errors import ChoiceError, DomainError, DtypeError, NlmodelError, NonFiniteError, ShapeError
from nlmodel.kernels import Exponential, Gaussian, RadialKernel, TopHat
from nlmodel.testing import assert_close


T = TopHat(0.2)
W = np.array([1.0, 0.5])


@dataclass(frozen=True)
class Wavy(RadialKernel):
    """A kernel that changes sign, cos(8 r) on [0, 1]."""

    horizon: float = 1.0
    dim: int = 1
    _: KW_ONLY
    scaled: bool = False

    def unscaled(self, square):
        return np.cos(8 * np.sqrt(square))

    def radial_integral(self, q):
        nodes, weights = np.polynomial.legendre.leggauss(40)
        r = 0.5 * self.horizon * (nodes + 1)
        return 0.5 * self.horizon * float(weights @ (np.cos(8 * r) * r ** (q - 1)))


QUADRATURES = [
    ("a Gaussian of features", Gaussian(), 0.1, DtypeError, "kernel must be a radial kernel: got Gaussian"),
    ("a function", math.exp, 0.1, DtypeError, "radial kernel"),
    ("a class", TopHat, 0.1, DtypeError, "radial kernel"),
    ("two dimensions", TopHat(0.2, 2), 0.1, DomainError, "dim = 1: got TopHat.*dim=2"),
    ("NaN", T, math.nan, NonFiniteError, "spacing must be finite"),
    ("infinity", T, math.inf, NonFiniteError, "spacing must be finite"),
    ("zero", T, 0.0, DomainError, "spacing must be > 0"),
    ("negative", T, -0.1, DomainError, "spacing must be > 0: got -0.1"),
    ("complex", T, 0.1 + 0j, DtypeError, "spacing must be a real number: got complex"),
    ("boolean", T, True, DtypeError, "spacing"),
    ("text", T, "0.1", DtypeError, "spacing"),
    ("array", T, np.array([0.1]), DtypeError, "spacing"),
    ("too fine", T, 1e-9, DomainError, "at most 1,000,000 cells: got 2e[+]08"),
    ("much too fine", T, 5e-324, DomainError, "at most 1,000,000 cells"),
]


@pytest.mark.parametrize(
    ("kernel", "h", "error", "message"), [q[1:] for q in QUADRATURES], ids=[q[0] for q in QUADRATURES]
)
@pytest.mark.parametrize("quadrature", [compatible_weights, riemann_weights, lambda k, h: compatible_operator(4, k, h)])
def test_bad_quadratures(quadrature, kernel, h, error, message):
    with pytest.raises(error, match=message) as caught:
        quadrature(kernel, h)
    assert isinstance(caught.value, NlmodelError)


def solve(kernel=T, domain=(0.0, 1.0), cells=10, source=0.0, constraint=0.0, **options):
    return volume_constrained_solve(kernel, domain, cells, source, constraint, **options)


CALLS = [
    ("weights not representable", lambda: compatible_weights(T, 1e200), DomainError, "representable(.|\n)*1/h"),
    ("weights: list", lambda: second_moment_defect([1.0], 0.1), DtypeError, "arrays of one library"),
    ("weights: integers", lambda: second_moment_defect(np.array([1, 2]), 0.1), DtypeError, "weights.*int64"),
    ("weights: complex", lambda: second_moment_defect(W + 0j, 0.1), DtypeError, "complex128"),
    ("weights: NaN", lambda: second_moment_defect(W * np.nan, 0.1), NonFiniteError, "weights must be finite"),
    ("weights: matrix", lambda: second_moment_defect(W[None], 0.1), ShapeError, "weights must have 1 dimensions"),
    ("weights: none", lambda: second_moment_defect(W[:0], 0.1), ShapeError, "weights must not be empty"),
    ("defect: spacing", lambda: second_moment_defect(W, -0.1), DomainError, "spacing must be > 0"),
    ("defect: moment", lambda: second_moment_defect(W, 0.1, moment=0.0), DomainError, "moment must be > 0"),
    ("defect: infinite", lambda: second_moment_defect(W, 0.1, moment=math.inf), NonFiniteError, "moment"),
    ("operator: integers", lambda: stencil_operator(np.array([1, 2]), 4, 0.1), DtypeError, "weights.*int64"),
    ("operator: NaN", lambda: stencil_operator(W * np.nan, 4, 0.1), NonFiniteError, "weights must be finite"),
    ("operator: matrix", lambda: stencil_operator(W[None], 4, 0.1), ShapeError, "weights must have 1"),
    ("operator: none", lambda: stencil_operator(W[:0], 4, 0.1), ShapeError, "weights must not be empty"),
    ("operator: no points", lambda: stencil_operator(W, 0, 0.1), DomainError, "n must be at least 1"),
    ("operator: half a point", lambda: stencil_operator(W, 4.5, 0.1), DtypeError, "n must be a whole number"),
    ("operator: spacing", lambda: stencil_operator(W, 4, math.nan), NonFiniteError, "spacing"),
    ("operator: boundary", lambda: stencil_operator(W, 4, 0.1, boundary="open"), ChoiceError, "'periodic', 'free'"),
    ("compatible: boundary", lambda: compatible_operator(4, T, 0.1, boundary=0), ChoiceError, "boundary must be one"),
    ("compatible: points", lambda: compatible_operator(-1, T, 0.1), DomainError, "n must be at least 1"),
    ("no kernel", lambda: solve(kernel=None), DtypeError, "radial kernel"),
    ("two dimensions", lambda: solve(kernel=TopHat(0.2, 2)), DomainError, "dim = 1"),
    ("all space", lambda: solve(kernel=Exponential(math.inf, 0.1)), DomainError, "finite horizon(.|\n)*collar"),
    ("a number for a domain", lambda: solve(domain=1.0), ShapeError, r"pair \(a, b\)"),
    ("three ends", lambda: solve(domain=(0.0, 1.0, 2.0)), ShapeError, "pair"),
    ("NaN end", lambda: solve(domain=(0.0, math.nan)), NonFiniteError, "b must be finite"),
    ("text end", lambda: solve(domain=("0", 1.0)), DtypeError, "a must be a real number"),
    ("one point", lambda: solve(domain=(1.0, 1.0)), DomainError, "a < b, of finite length: got"),
    ("reversed", lambda: solve(domain=(1.0, 0.0)), DomainError, r"\(1, 0\)"),
    ("too long", lambda: solve(domain=(-1.7e308, 1.7e308)), DomainError, "a < b"),
    ("too far", lambda: solve(domain=(1e17, 1e17 + 32), kernel=TopHat(10.0)), DomainError, "distinct(.|\n)*move"),
    ("one cell", lambda: solve(cells=1), DomainError, "cells must be at least 2"),
    ("half a cell", lambda: solve(cells=10.0), DtypeError, "cells must be a whole number"),
    ("too many cells a horizon", lambda: solve(cells=10**8), DomainError, "1,000,000 cells"),
    ("quadrature", lambda: solve(quadrature="trapezoid"), ChoiceError, "'compatible', 'riemann'"),
    ("extremes", lambda: solve(extremes=2), DtypeError, "extremes must be True or False"),
    ("source: NaN", lambda: solve(source=math.nan), NonFiniteError, "source must be finite"),
    ("source: text", lambda: solve(source="x"), DtypeError, "source must be a real number"),
    ("source: array", lambda: solve(source=np.ones(9)), DtypeError, "source must be a real number"),
    ("source gives NaN", lambda: solve(source=lambda x: x * np.nan), NonFiniteError, "values of source"),
    ("source gives a number", lambda: solve(source=lambda x: 1.0), DtypeError, "one library"),
    ("source gives integers", lambda: solve(source=lambda x: (x > 0).astype(int)), DtypeError, "source.*int64"),
    ("source gives less", lambda: solve(source=lambda x: x[1:]), ShapeError, r"one value a position: got.*\(8,\)"),
    ("source gives a matrix", lambda: solve(source=lambda x: x[None]), ShapeError, "source must have 1 dimensions"),
    ("source gives float32", lambda: solve(source=lambda x: x.astype(np.float32)), DtypeError, "source and positions"),
    ("constraint gives torch", lambda: solve(constraint=torch.as_tensor), DtypeError, "one library"),
    ("constraint: infinity", lambda: solve(constraint=math.inf), NonFiniteError, "constraint must be finite"),
    ("constraint gives complex", lambda: solve(constraint=lambda x: x + 0j), DtypeError, "constraint.*complex128"),
    (
        "no neighbour",
        lambda: solve(kernel=TopHat(0.05), quadrature="riemann"),
        DomainError,
        "positive definite(.|\n)*no",
    ),
    ("a sign that changes", lambda: solve(kernel=Wavy()), DomainError, "positive definite(.|\n)*Wavy"),
]


@pytest.mark.parametrize(("call", "error", "message"), [c[1:] for c in CALLS], ids=[c[0] for c in CALLS])
def test_bad_calls(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert isinstance(caught.value, NlmodelError)


def test_what_is_no_mistake():
    assert np.array_equal(riemann_weights(TopHat(0.05), 0.1), [0.0])  # no neighbour: the sum is empty
    assert solve(domain=[0, 1], cells=np.int64(4), source=1, constraint=np.float64(0)).solution.shape == (3 + 2,)
    assert second_moment_defect(torch.ones(1, dtype=torch.float64), 1.0) == 0.0
    before = W.copy()
    assert_close(stencil_operator(torch.as_tensor(W), 6, 0.1).to_dense(), stencil_operator(W, 6, 0.1).to_dense())
    assert np.array_equal(W, before)
