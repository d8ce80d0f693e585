"""Algebra, SciPy, batches, libraries, gradients and storage of operators."""

import array_api_strict
import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from scipy.sparse.linalg import cg, eigsh, expm_multiply, gmres

from nlmodel import NonlocalOperator
from nlmodel.kernels import Gaussian, TopHat
from nlmodel.operators import Diagonal
from nlmodel.testing import assert_close, tolerance


HOWS = ("none", "row", "symmetric", "sinkhorn", "alpha")


@pytest.fixture
def points(rng):
    return rng.uniform(0, 1, (40, 2))


def three_storages(points, how="row"):
    X = np.stack(np.meshgrid(np.arange(6), np.arange(7), indexing="ij"), -1).reshape(-1, 2) * 0.1
    kernel = TopHat(0.21, 2)
    return (
        NonlocalOperator.from_points(X, kernel, how, storage="dense", weights=0.01),
        NonlocalOperator.from_points(X, kernel, how, storage="sparse", weights=0.01),
        NonlocalOperator.on_grid((6, 7), kernel, 0.1, boundary="free", normalize=how),
    )


@pytest.mark.parametrize("how", HOWS)
def test_dense_sparse_and_fft_are_one_operator(points, rng, how):
    dense, sparse, grid = three_storages(points, how)
    Z = rng.standard_normal((42, 3))
    scale = float(np.max(np.abs(dense.to_dense()).sum(1)) * np.max(np.abs(Z)))
    for other in (sparse, grid):
        assert np.max(np.abs(dense @ Z - other @ Z)) <= min(tolerance("reduction", n=128, scale=scale), 1e-12 * scale)


def test_horizon_matters(rng):
    """Control: pairs exactly at the horizon belong to the ball; an open ball would differ by far."""
    X = (np.arange(10) * 0.1)[:, None]
    for storage in ("dense", "sparse"):
        closed = NonlocalOperator.from_points(X, TopHat(0.3), "none", storage=storage).to_dense()
        open_ball = NonlocalOperator.from_points(X, TopHat(0.299), "none", storage=storage).to_dense()
        assert np.count_nonzero(closed[5]) == 7
        assert np.count_nonzero(open_ball[5]) == 5


def test_algebra(rng):
    A = NonlocalOperator.from_affinity(rng.uniform(0.1, 1, (5, 5)))
    B = NonlocalOperator.from_affinity(csr_array(rng.uniform(0.1, 1, (5, 5))))
    a, b = A.to_dense(), B.to_dense()
    bound = tolerance("reduction", n=20, scale=4.0)
    for made, expected in [
        (A + B, a + b),
        (A - B, a - b),
        (2.5 * A, 2.5 * a),
        (A * np.float64(2.0), 2 * a),
        (-A, -a),
        (A @ B, a @ b),
        ((A @ B).T, b.T @ a.T),
        ((A + 2 * B).T, (a + 2 * b).T),
        (A.T.T, a),
        (Diagonal(np.arange(1.0, 6.0)) @ A, np.diag(np.arange(1.0, 6.0)) @ a),
    ]:
        assert np.max(np.abs(made.to_dense() - expected)) <= bound
    assert np.max(np.abs((A @ B).to_dense() - b @ a)) > 1e-3  # control: the order counts


@pytest.mark.parametrize("index", [0, 1, 2])
def test_scipy_solvers_take_it(points, rng, index):
    op = three_storages(points, "sinkhorn")[index]
    linear, dense = op.to_scipy(), op.to_dense()
    v, V = rng.standard_normal(42), rng.standard_normal((42, 2))
    bound = tolerance("reduction", n=200, scale=8.0)
    assert np.max(np.abs(linear.matvec(v) - dense @ v)) <= bound
    assert np.max(np.abs(linear.matmat(V) - dense @ V)) <= bound
    assert np.max(np.abs(linear.rmatvec(v) - dense.T @ v)) <= bound
    assert np.max(np.abs(linear.rmatmat(V) - dense.T @ V)) <= bound
    top = eigsh(op.symmetrized().to_scipy(), k=3, return_eigenvectors=False, v0=np.ones(42) + v / 10)
    exact = np.linalg.eigvalsh(dense + np.eye(42))
    assert np.max(np.abs(np.sort(np.abs(top)) - np.sort(np.abs(exact))[-3:])) <= tolerance("solve", n=42)
    from scipy.linalg import expm

    flow = expm_multiply(linear, v, traceA=float(np.trace(dense)))
    assert np.max(np.abs(flow - expm(dense) @ v)) <= tolerance("solve", n=42, scale=4.0)
    shifted = np.eye(42) - dense
    system = Diagonal(np.ones(42)) - op
    for solver in (cg, gmres):
        x, info = solver(system.to_scipy(), v, rtol=1e-12, **({"restart": 42} if solver is gmres else {}))
        assert info == 0
        assert np.linalg.norm(shifted @ x - v) <= 2e-12 * np.linalg.norm(v)


@pytest.mark.parametrize("how", HOWS)
def test_libraries_agree(rng, how):
    X = rng.standard_normal((6, 3))
    Z = rng.standard_normal((6, 2))
    op = NonlocalOperator.from_points(X, Gaussian(1.0), how)
    for xp in (torch, array_api_strict):
        other = NonlocalOperator.from_points(xp.asarray(X), Gaussian(1.0), how)
        result = other @ xp.asarray(Z)
        assert type(result).__module__.split(".")[0] == xp.__name__
        assert_close(np.asarray(result), op @ Z, "reduction", n=16 + 64 * (how == "sinkhorn"), scale=4.0)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("index", [0, 1, 2])
def test_torch_fields_through_every_storage(points, rng, how, index):
    op = three_storages(points, how)[index]
    Z = torch.asarray(rng.standard_normal((2, 42, 2)), dtype=torch.float64)
    result = op @ Z
    assert isinstance(result, torch.Tensor)
    expected = np.stack([op @ z.numpy() for z in Z])
    scale = float(np.max(np.abs(expected)))
    assert_close(result.numpy(), expected, "reduction", n=200, scale=scale)
    field = Z.clone().requires_grad_()
    cotangent = torch.asarray(rng.standard_normal((2, 42, 2)))
    (op @ field * cotangent).sum().backward()
    adjoint = np.stack([op.T @ c.numpy() for c in cotangent])
    assert_close(field.grad.numpy(), adjoint, "reduction", n=200, scale=float(np.max(np.abs(adjoint))))


@pytest.mark.parametrize("how", HOWS)
def test_gradients_of_the_dense_operator(rng, how):
    X = torch.asarray(rng.standard_normal((3, 2)), dtype=torch.float64).requires_grad_()
    Z = torch.asarray(rng.standard_normal((3, 1)), dtype=torch.float64).requires_grad_()

    def run(X, Z):
        return NonlocalOperator.from_points(X, Gaussian(1.3), how) @ Z

    assert torch.autograd.gradcheck(run, (X, Z))
    assert torch.autograd.gradgradcheck(run, (X, Z))


def test_batches_of_operators(rng):
    X = rng.standard_normal((3, 5, 2))
    Z = rng.standard_normal((3, 5, 4))
    op = NonlocalOperator.from_points(X, Gaussian(1.0), "row")
    one_by_one = np.stack(
        [NonlocalOperator.from_points(x, Gaussian(1.0), "row") @ z for x, z in zip(X, Z, strict=True)]
    )
    assert op.shape == (3, 5, 5)
    assert_close(op @ Z, one_by_one, "reduction", n=10, scale=4.0)
    assert np.all(op.energy(Z) >= 0)


def test_vectors_are_one_channel(rng):
    op = NonlocalOperator.from_points(rng.standard_normal((5, 2)), Gaussian(1.0))
    z = rng.standard_normal(5)
    assert (op @ z).shape == (5,)
    assert np.array_equal(op @ z, (op @ z[:, None])[:, 0])
    assert np.array_equal(op.average(z), op.average(z[:, None])[:, 0])
    assert float(op.energy(z)) == pytest.approx(float(op.energy(z[:, None])), rel=tolerance("reduction", n=5))
    assert float(op.mean(z)) == float(op.mean(z[:, None])[0])


def test_inputs_are_not_changed(rng):
    X, Z = rng.standard_normal((5, 2)), rng.standard_normal((5, 2))
    x, z = X.copy(), Z.copy()
    op = NonlocalOperator.from_points(X, Gaussian(1.0), "sinkhorn")
    op @ Z, op.T @ Z, op.energy(Z)
    raw = csr_array(np.eye(3) + 0.5)
    before = raw.toarray()
    NonlocalOperator.from_affinity(raw) @ np.ones(3)
    assert np.array_equal(X, x) and np.array_equal(Z, z) and np.array_equal(raw.toarray(), before)


def test_auto_storage_says_what_it_chose(rng):
    X = rng.uniform(0, 1, (1000, 2))
    assert NonlocalOperator.from_points(X, TopHat(0.05, 2), "none").storage == "sparse"
    assert NonlocalOperator.from_points(X[:999], TopHat(0.05, 2), "none").storage == "dense"
    assert NonlocalOperator.from_points(X[:50], Gaussian(0.1)).storage == "dense"
    assert "storage='sparse'" in repr(NonlocalOperator.from_points(X, TopHat(0.05, 2), "none"))


def test_quadrature_weights_make_the_sum_an_integral():
    """sum_j rho(x_i, x_j) (z_j - z_i) without cell volumes is off by 1/h; with them it is the integral."""
    n, h = 200, 2 * np.pi / 200
    x = np.arange(n) * h
    kernel = TopHat(10.5 * h)
    op = NonlocalOperator.on_grid(n, kernel, h)
    k = 3
    symbol = float(kernel.symbol(np.array([float(k)]))[0])
    exact = symbol * np.sin(k * x)
    assert np.max(np.abs(op @ np.sin(k * x) - exact)) <= (k * h) ** 2 * abs(symbol)
    bare = NonlocalOperator.on_grid(n, kernel, h, weights=1.0)
    assert np.max(np.abs(bare @ np.sin(k * x) - exact)) > 10 * np.max(np.abs(exact))
