"""Constant tensors in the memory of the host have the products of NumPy; those with derivatives have tiles."""

import math

import numpy as np
import pytest
import torch
from torch.autograd import forward_ad

from nlmodel import NonlocalOperator
from nlmodel.kernels import ExpDot, FunctionKernel, Gaussian
from nlmodel.operators import exponents, streamed
from nlmodel.operators.numpy_fields import held_in_numpy
from nlmodel.testing import assert_close


MANY = 600  # from 512 on pairs are looked at once


def drawn(rng, M: int, D: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    return tuple(torch.from_numpy(rng.standard_normal((M, n)) / math.sqrt(n)) for n in (D, 2))


KERNEL = Gaussian(0.7)


def operator(X, kernel=KERNEL, how: str = "row") -> NonlocalOperator:
    return NonlocalOperator.from_points(X, kernel, how, storage="streamed")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kernel", [Gaussian(0.7), ExpDot(2.0)], ids=repr)
def test_the_same_bytes_as_in_numpy(kernel, dtype, rng):
    X, Z = (x.to(dtype) for x in drawn(rng, MANY))
    there, here = operator(X, kernel, "none"), operator(X.numpy(), kernel, "none")
    assert np.array_equal(there.average(Z).numpy(), here.average(Z.numpy()))
    assert np.array_equal((there.averaging.T @ Z).numpy(), here.averaging.T @ Z.numpy())
    assert torch.equal(here.average(Z), there.average(Z))  # a field of torch beside points in NumPy
    by_tiles = operator(X.requires_grad_(), kernel, "none").average(Z).detach().numpy()
    assert not np.array_equal(by_tiles, here.average(Z.numpy()))  # control: another order of the sums
    assert_close(by_tiles, here.average(Z.numpy()), "reduction", n=64, scale=4 * float(here.degree.max()))


def test_gradients_of_the_field(rng):
    X, Z = drawn(rng, MANY)
    op, Z = operator(X), Z.requires_grad_()
    probe = torch.from_numpy(rng.standard_normal(Z.shape))

    def value(Z):
        return (op.average(Z) ** 2 * probe).sum()

    (gradient,) = torch.autograd.grad(value(Z), Z, create_graph=True)
    expected = op.averaging.T @ (2 * probe * op.average(Z))
    assert_close(gradient.detach().numpy(), expected.detach().numpy(), "reduction", n=64, scale=16.0)
    (second,) = torch.autograd.grad((gradient * probe).sum(), Z)
    expected = op.averaging.T @ (2 * probe * op.average(probe))
    assert_close(second.numpy(), expected.numpy(), "reduction", n=64, scale=64.0)
    assert float((op.average(probe) - op.averaging.T @ probe).abs().max()) > 1e-3  # control: K is not symmetric


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # which torch itself calls here
def test_tangents_of_the_field_and_of_the_points(rng):
    X, Z = drawn(rng, MANY)
    with forward_ad.dual_level():
        there = forward_ad.unpack_dual(operator(X).average(forward_ad.make_dual(Z, Z + 1)))
        assert torch.equal(there.tangent, operator(X).average(Z + 1))
        moved = forward_ad.make_dual(X, X)
        assert held_in_numpy(X) is not None and held_in_numpy(moved) is None
        tangent = forward_ad.unpack_dual(operator(moved).average(Z)).tangent
    step = 1e-6
    difference = (operator((1 + step) * X).average(Z) - operator((1 - step) * X).average(Z)) / (2 * step)
    assert float((tangent - difference).abs().max()) < 1e-7 < 1e-3 < float(tangent.abs().max())


def test_a_function_sees_the_tensors_that_it_was_given(rng):
    X, Z = drawn(rng, MANY)
    seen = set()

    def cauchy(X, Y):
        seen.add(type(X))
        return 1 / (1 + ((X[:, None] - Y[None]) ** 2).sum(-1))

    operator(X, FunctionKernel(cauchy, symmetric=True, nonnegative=True)).average(Z)
    assert seen == {torch.Tensor}


def test_what_is_held_in_numpy():
    X = torch.zeros(3)
    assert np.shares_memory(held_in_numpy(X)[0], X.numpy())
    assert held_in_numpy(np.zeros(3), X.clone().requires_grad_()) is None
    assert held_in_numpy(torch.zeros(3, device="meta")) is None
    negated = torch.tensor([1 + 2j]).conj().imag  # a view with a sign that is not yet in memory
    assert held_in_numpy(negated)[0].tolist() == [-2.0]


def test_tiles_of_each_library(monkeypatch):
    monkeypatch.setattr(streamed, "TENSOR_TILE", 1024)
    X = np.zeros((5000, 2))
    for points, size in ((torch.from_numpy(X), 1024), (torch.zeros(5000, 2, device="meta"), 4096), (X, streamed.TILE)):
        first = streamed.StreamedAffinity.declared(points, Gaussian(1.0))._tiles()[0]
        assert first == slice(0, size)


def test_a_class_derived_from_the_gaussian_may_be_another_function(rng):
    class Twice(Gaussian):
        def log_evaluate(self, X, Y):
            return 2 * super().log_evaluate(X, Y)

    X, _ = drawn(rng, 40, D=24)
    found = exponents.exponents_of(Twice(1.0), X)(slice(None), slice(None))
    assert torch.equal(found, Twice(1.0).log_evaluate(X, X))
    assert float((found - Gaussian(1.0).log_evaluate(X, X)).abs().max()) > 0.1  # control


@pytest.mark.parametrize("convert", [np.asarray, torch.as_tensor], ids=["NumPy", "torch"])
def test_wide_features_go_through_products_only_where_digits_stay(convert, rng):
    X = rng.standard_normal((40, 24)) / math.sqrt(24)
    rows, columns = slice(0, 30), slice(10, 40)
    for scale, products in ((0.7, True), (0.1, False)):
        kernel = Gaussian(scale)
        found = exponents.exponents_of(kernel, convert(X))(rows, columns)
        exact = kernel.log_evaluate(convert(X)[rows], convert(X)[columns])
        size = max(exponents.GROWTH, float(np.abs(np.asarray(exact)).max()))
        assert_close(np.asarray(found), np.asarray(exact), "reduction", n=24, scale=size)
        assert np.array_equal(np.asarray(found), np.asarray(exact)) == (not products)
    narrow = exponents.exponents_of(Gaussian(0.7), convert(X[:, :15]))(rows, columns)
    assert np.array_equal(np.asarray(narrow), Gaussian(0.7).log_evaluate(X[rows, :15], X[columns, :15])) or (
        convert is not np.asarray
    )


def test_gradients_of_wide_features(rng):
    X, Z = (x.requires_grad_() for x in drawn(rng, 7, D=20))

    def product(X, Z):
        return operator(X).average(Z)

    assert torch.autograd.gradcheck(product, (X, Z), fast_mode=True)
    assert torch.autograd.gradgradcheck(product, (X, Z), fast_mode=True)


def test_long_features_go_through_products_with_one_column_too(monkeypatch, rng):
    from nlmodel.operators import compiled

    X, Z = drawn(rng, MANY, D=80)
    used = []
    by_panels = compiled._by_panels
    monkeypatch.setattr(compiled, "_by_panels", lambda *a: used.append(1) or by_panels(*a))
    found = operator(X.numpy(), how="none").average(Z[:, :1].numpy())
    assert used
    K = Gaussian(0.7)(X.numpy())
    assert_close(found, K @ Z[:, :1].numpy(), "reduction", n=80, scale=float(K.sum(1).max()) * 4)
