"""The network's steps: the facts about the nonlocal stage, each with a wrong twin."""

import array_api_strict
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from nlmodel._arrays import to_numpy
from nlmodel.errors import DomainError, DtypeError, NonFiniteError, NormalizationError, ShapeError
from nlmodel.kernels import Dirac, DotProduct, Embedded, ExpDot, FunctionKernel, Gaussian
from nlmodel.network import (
    original_flow,
    original_step,
    reaction_diffusion_step,
    relu,
    residual_flow,
    residual_step,
    stage,
)
from nlmodel.operators import NonlocalOperator
from nlmodel.testing import assert_close, observed_order, tolerance


C = 3
RNG = np.random.default_rng(18)
X = RNG.standard_normal((6, C))
W = RNG.standard_normal((C, C))
SEEDS = st.integers(0, 2**32 - 1)


def draw(seed: int, blocks: int = 3):
    """Features, an operator of them, and random (in general unstable) weights."""
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((int(rng.integers(1, 9)), C))
    op = NonlocalOperator.from_points(Z, Gaussian(1.0), "row", weights=rng.uniform(0.5, 2.0, len(Z)))
    return Z, op, list(rng.standard_normal((blocks, C, C)))


def size_of(Z, op, weights) -> float:
    """Largest entry that a stage can have on the way: what its rounding is measured by."""
    growth = np.prod([1 + 2 * np.linalg.norm(w, np.inf) for w in weights])
    return float(growth * np.max(np.abs(Z)))


# ------------------------------------------------------------------ the original block


def test_original_step_is_its_formula():
    """Z_i + (W / C_i) sum_j omega(Z_i, Z_j) Z_j, written out with loops."""
    expected = np.empty_like(X)
    for i in range(len(X)):
        omega = np.array([np.exp(X[i] @ x) for x in X])
        expected[i] = X[i] + W @ sum(w * x for w, x in zip(omega, X, strict=True)) / omega.sum()
    assert_close(original_step(X, ExpDot(1.0), W), expected, "reduction", n=20, scale=20.0)
    with pytest.raises(AssertionError, match="exceeds"):  # control: W instead of its transpose on the right
        assert_close(original_step(X, ExpDot(1.0), W.T), expected, "reduction", n=20, scale=20.0)


def test_original_step_without_normalisation_is_equation_27():
    omega = np.exp(-np.sum((X[:, None] - X[None]) ** 2, -1) / 2)
    expected = X - omega @ X
    assert_close(original_step(X, Gaussian(1.0), -1.0, normalize="none"), expected, "reduction", n=6, scale=10.0)


def test_dirac_kernel_makes_the_original_block_residual_and_the_stage_an_identity():
    """omega = delta_ij: Z (I + W)^T, and L = 0."""
    assert_close(original_step(X, Dirac(), W), X @ (np.eye(C) + W).T, "reduction", n=2 * C, scale=10.0)
    op = NonlocalOperator.from_points(X, Dirac())
    assert_close(stage(X, op, [W, W]), X, "exact")
    repeated = NonlocalOperator.from_points(np.concatenate([X, X]), Dirac())  # control: equal points are averaged
    apart = np.concatenate([X, X + 1.0])
    assert np.max(np.abs(stage(apart, repeated, [np.eye(C)]) - apart)) > 0.1


def test_original_flow_is_what_the_step_adds():
    assert_close(original_step(X, Gaussian(0.7), W) - X, original_flow(X, Gaussian(0.7), W), scale=10.0)


def test_original_step_amplifies_the_mean_and_the_stage_does_not():
    constant = np.ones((5, C)) * np.array([1.0, -2.0, 0.5])
    assert_close(original_step(constant, Gaussian(1.0), 0.5), 1.5 * constant, "reduction", n=5)
    op = NonlocalOperator.from_points(constant, Gaussian(1.0))
    assert_close(stage(constant, op, [0.5]), constant, "reduction", n=5)


def test_euler_steps_of_the_dot_product_flow_act_on_singular_values():
    """Z - (c/M) Z Z^T Z has the singular values sigma |1 - c sigma^2 / M|."""
    c = 0.4
    sigma = np.linalg.svd(X, compute_uv=False)
    moved = original_step(X, DotProduct(), -c / len(X), normalize="none")
    expected = np.sort(sigma * np.abs(1 - c * sigma**2 / len(X)))
    assert_close(np.sort(np.linalg.svd(moved, compute_uv=False)), expected, "solve", n=6)
    control = np.sort(sigma * np.abs(1 - c * sigma / len(X)))
    assert np.max(np.abs(control - expected)) > 0.1


def test_opposite_points_move_by_a_hyperbolic_tangent():
    """Z = (z, -z): K Z = tanh(z^2) Z for the Gaussian of scale 1, and (1 - exp(-2 z^2)) Z without normalisation."""
    z = 0.8
    Z = np.array([[z], [-z]])
    assert_close(original_step(Z, Gaussian(1.0), -1.0), Z * (1 - np.tanh(z**2)), "reduction", n=4)
    unnormalised = original_step(Z, Gaussian(1.0), -1.0, normalize="none")
    assert_close(unnormalised, Z * (1 - (1 - np.exp(-2 * z**2))), "reduction", n=4, scale=1.0)


@pytest.mark.parametrize(
    ("kernel", "Z"),
    [
        (FunctionKernel(lambda X, Y: 1 + (X @ np.swapaxes(Y, -1, -2)) ** 2), np.array([[1.0], [-1.0]])),
        (Embedded(Gaussian(1.0), np.array([[1.0, 0.0]])), np.array([[0.0, 2.0], [0.0, -2.0]])),
    ],
    ids=["1 + (xy)^2", "theta with a kernel"],
)
def test_nonzero_steady_states_of_positive_kernels(kernel, Z):
    assert_close(original_flow(Z, kernel, normalize="none"), np.zeros_like(Z), "reduction", n=4, scale=4.0)
    assert (
        np.max(np.abs(original_flow(Z, Gaussian(1.0), normalize="none"))) > 0.5
    )  # control: strictly positive definite


# ------------------------------------------------------------------ the facts of the stage


@given(seed=SEEDS)
def test_constants_are_fixed_for_every_weight(seed):
    Z, op, weights = draw(seed)
    constant = np.ones_like(Z) * Z[:1]
    assert_close(
        stage(constant, op, weights), constant, "reduction", n=4 * len(Z), scale=size_of(constant, op, weights)
    )


def test_constants_are_not_fixed_by_the_symmetric_normalisation():
    op = NonlocalOperator.from_points(X, Gaussian(1.0), "symmetric")
    assert np.max(np.abs(stage(np.ones_like(X), op, [W]) - 1)) > 0.01


@given(seed=SEEDS)
def test_the_weighted_mean_is_invariant_for_every_weight(seed):
    Z, op, weights = draw(seed)
    bound = tolerance("reduction", n=4 * len(Z), scale=size_of(Z, op, weights))
    assert np.max(np.abs(op.mean(stage(Z, op, weights)) - op.mean(Z))) <= bound


def test_only_that_mean_is_invariant():
    op = NonlocalOperator.from_points(X, Gaussian(1.0))
    assert np.max(np.abs(np.mean(stage(X, op, [W]), 0) - np.mean(X, 0))) > 1e-3
    doubly = NonlocalOperator.from_points(X, Gaussian(1.0), "sinkhorn")
    assert_close(np.mean(stage(X, doubly, [W, W]), 0), np.mean(X, 0), "reduction", n=30, scale=50.0)


@given(seed=SEEDS)
def test_one_sub_block_is_the_original_block_and_a_convolution(seed):
    """F_NS = F_NL - W Z."""
    rng = np.random.default_rng(seed)
    Z, w = rng.standard_normal((5, C)), rng.standard_normal((C, C))
    op = NonlocalOperator.from_points(Z, Gaussian(1.0))
    expected = original_step(Z, Gaussian(1.0), w) - Z @ w.T
    assert_close(stage(Z, op, [w]), expected, "reduction", n=20, scale=size_of(Z, op, [w]))


@given(seed=SEEDS)
def test_in_eigenmodes_the_stage_is_a_product_of_matrix_polynomials(seed):
    """z_k -> prod_n (I - s_k W^n) z_k."""
    Z, op, weights = draw(seed)
    half = np.sqrt(op.measure)[:, None]
    S = op.symmetrized().to_dense()
    lam, Q = np.linalg.eigh((S + S.T) / 2)
    modes = Q.T @ (half * Z)
    for k, s in enumerate(1 - lam):
        for w in weights:
            modes[k] = (np.eye(C) - s * w) @ modes[k]
    expected = Q @ modes / half
    scale = size_of(Z, op, weights) * float(np.max(half) / np.min(half))
    assert_close(stage(Z, op, weights), expected, "solve", n=len(Z), scale=scale)
    if len(Z) > 1:
        assert np.max(np.abs(stage(Z, op, weights[::-1]) - expected)) > tolerance("solve", n=len(Z), scale=scale)


def test_dropping_the_diagonal_of_the_affinity_changes_the_stage():
    omega = Gaussian(1.0)(X)
    full = NonlocalOperator.from_affinity(omega)
    bare = NonlocalOperator.from_affinity(omega - np.diag(np.diag(omega)))
    raw = NonlocalOperator.from_affinity(omega, "none")
    raw_bare = NonlocalOperator.from_affinity(omega - np.diag(np.diag(omega)), "none")
    assert_close(stage(X, raw_bare, [W]), stage(X, raw, [W]), "reduction", n=20, scale=50.0)  # adds 0 to the sum
    assert np.max(np.abs(stage(X, bare, [W]) - stage(X, full, [W]))) > 0.1  # but counts in C_i


def staged(Z, kernel, w=W):
    return stage(Z, NonlocalOperator.from_points(Z, kernel), [w, w])


@given(seed=SEEDS)
def test_the_stage_commutes_with_permutations(seed):
    order = np.random.default_rng(seed).permutation(len(X))
    assert_close(staged(X[order], Gaussian(1.0)), staged(X, Gaussian(1.0))[order], "reduction", n=30, scale=50.0)


def test_the_stage_commutes_with_the_motions_that_leave_the_kernel_alone():
    rotation, _ = np.linalg.qr(RNG.standard_normal((C, C)))
    shift = np.array([1.0, -2.0, 0.5])
    turned = rotation.T @ W @ rotation
    for kernel in (Gaussian(1.0), ExpDot(2.0)):
        expected = staged(X, kernel) @ rotation
        assert_close(staged(X @ rotation, kernel, turned), expected, "solve", n=20, scale=50.0)
    assert_close(staged(X + shift, Gaussian(1.0)), staged(X, Gaussian(1.0)) + shift, "solve", n=20, scale=50.0)
    moved = staged(X + shift, ExpDot(2.0)) - shift
    assert np.max(np.abs(moved - staged(X, ExpDot(2.0)))) > 0.1  # control: exp(x.y) sees the origin


def test_a_stage_finds_its_affinity_once():
    calls = []

    def counted(A, B):
        calls.append(1)
        return np.exp(A @ np.swapaxes(B, -1, -2))

    op = NonlocalOperator.from_points(X, counted)
    stage(X, op, [0.1] * 5)
    assert len(calls) == 1
    Z = X
    for _ in range(5):
        Z = original_step(Z, counted, -0.1)
    assert len(calls) == 6


def test_stage_returns_every_output_on_request():
    op = NonlocalOperator.from_points(X, Gaussian(1.0))
    outputs = stage(X, op, [W, 0.3 * W, 0.5], every=True)
    assert len(outputs) == 4 and outputs[0] is X
    for n in range(1, 4):
        assert_close(outputs[n], stage(X, op, [W, 0.3 * W, 0.5][:n]), "exact")


def test_stage_takes_weights_as_one_array():
    op = NonlocalOperator.from_points(X, Gaussian(1.0))
    assert_close(stage(X, op, np.stack([W, 0.3 * W])), stage(X, op, [W, 0.3 * W]), "exact")
    assert_close(stage(X, op, (0.5, np.float64(0.25))), stage(X, op, [0.5, 0.25]), "exact")
    numbers = np.array([0.5, 0.25])
    assert_close(stage(X, op, numbers), stage(X, op, [0.5, 0.25]), "reduction", n=6)
    assert np.max(np.abs(stage(X, op, numbers) - stage(X, op, 2 * numbers))) > 0.1  # control
    learned = torch.tensor(numbers, requires_grad=True)
    stage(torch.tensor(X), NonlocalOperator.from_points(torch.tensor(X), Gaussian(1.0)), learned).sum().backward()
    assert learned.grad is not None and bool(torch.all(learned.grad != 0))


def test_equal_positive_numbers_make_the_stage_a_markov_chain():
    """W = mu I with mu = 1: Z^{n+1} = K Z^n."""
    op = NonlocalOperator.from_points(X, Gaussian(1.0))
    assert_close(stage(X, op, [1.0, 1.0]), op.average(op.average(X)), "reduction", n=12, scale=3.0)


# ------------------------------------------------------------------ reaction


W1, W2 = RNG.standard_normal((4, C)), RNG.standard_normal((C, 4))


def test_residual_step_is_its_formula():
    expected = np.stack([x + W2 @ np.maximum(W1 @ np.maximum(x, 0), 0) for x in X])
    assert_close(residual_step(X, W1, W2), expected, "reduction", n=20, scale=50.0)
    post = np.stack([x + np.maximum(W2 @ np.maximum(W1 @ x, 0), 0) for x in X])
    assert np.max(np.abs(post - expected)) > 0.1  # control: activation after instead of before
    assert_close(residual_step(X, W1, W2, step=0.25) - X, 0.25 * residual_flow(X, W1, W2), scale=50.0)


def test_residual_step_takes_any_activation():
    assert_close(residual_flow(X, W1, W2, lambda Z: Z), X @ W1.T @ W2.T, "reduction", n=20, scale=50.0)
    assert_close(residual_flow(X, W1, W2, np.tanh), np.tanh(np.tanh(X) @ W1.T) @ W2.T, "reduction", n=20, scale=50.0)


def test_relu():
    assert_close(relu(np.array([-1.0, 0.0, 2.0])), np.array([0.0, 0.0, 2.0]), "exact")


def test_reaction_diffusion_step_adds_both():
    op = NonlocalOperator.from_points(X, Gaussian(1.0))
    expected = X + 0.3 * ((op @ X) @ W.T + residual_flow(X, W1, W2))
    assert_close(reaction_diffusion_step(X, op, W1, W2, W, step=0.3), expected, "reduction", n=20, scale=50.0)
    still = np.zeros_like(W2)
    assert_close(reaction_diffusion_step(X, op, W1, still, W), stage(X, op, [W]), "reduction", n=20, scale=50.0)
    constant = np.ones_like(X)
    assert_close(
        reaction_diffusion_step(constant, op, W1, W2, W), residual_step(constant, W1, W2), "reduction", n=40, scale=50.0
    )


def test_euler_steps_of_the_residual_flow_converge():
    """K blocks with F/K: first order to Z' = F(Z)."""
    A = 0.3 * W2 @ W1
    exact = X @ np.linalg.matrix_power(np.eye(C) + A.T / 2**16, 2**16)

    def solve(n):
        Z = X
        for _ in range(n):
            Z = residual_step(Z, W1, 0.3 * W2, lambda V: V, step=1 / n)
        return np.max(np.abs(Z - exact))

    counts = (256, 512, 1024, 2048)
    order = observed_order([1 / n for n in counts], [solve(n) for n in counts])
    assert abs(order.order - 1) <= 0.1 and max(abs(np.array(order.local) - 1)) <= 0.15
    assert max(np.abs(np.linalg.eigvals(A))) > 0.1  # control: there is something to approximate


# ------------------------------------------------------------------ libraries


STEPS = {
    "original_step": lambda Z, w, op, a, b: original_step(Z, Gaussian(1.0), w),
    "original_flow": lambda Z, w, op, a, b: original_flow(Z, ExpDot(1.0), w),
    "stage": lambda Z, w, op, a, b: stage(Z, op, [w, 0.5]),
    "residual_flow": lambda Z, w, op, a, b: residual_flow(Z, a, b),
    "residual_step": lambda Z, w, op, a, b: residual_step(Z, a, b),
    "reaction_diffusion_step": lambda Z, w, op, a, b: reaction_diffusion_step(Z, op, a, b, w, step=0.5),
}


def called(name, move, dtype=np.float64):
    Z, w, a, b = (move(x.astype(dtype)) for x in (X, W, W1, W2))
    return STEPS[name](Z, w, NonlocalOperator.from_points(Z, Gaussian(1.0)), a, b)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("move", [torch.as_tensor, array_api_strict.asarray], ids=["torch", "strict"])
@pytest.mark.parametrize("name", STEPS)
def test_other_libraries_give_what_numpy_gives(name, move, dtype):
    reference, other = called(name, np.asarray, dtype), called(name, move, dtype)
    assert type(other) is type(move(X)) and reference.dtype == dtype
    assert_close(to_numpy(other), reference, "solve", n=6)


@pytest.mark.parametrize("name", STEPS)
def test_gradients(name):
    Z, w, a, b = (torch.tensor(x[:2, :2], requires_grad=True) for x in (X, W, W1, W2))

    def step(Z, w, a, b):
        return STEPS[name](Z, w, NonlocalOperator.from_points(Z, Gaussian(1.0)), a, b)

    assert gradcheck(step, (Z, w, a, b))
    assert gradgradcheck(step, (Z, w, a, b))


@pytest.mark.parametrize("name", STEPS)
def test_batches_are_their_members(name):
    Z = np.stack([X, X[::-1] + 1])
    op = NonlocalOperator.from_points(Z, Gaussian(1.0))
    together = STEPS[name](Z, W, op, W1, W2)
    for b in range(2):
        alone = STEPS[name](Z[b], W, NonlocalOperator.from_points(Z[b], Gaussian(1.0)), W1, W2)
        assert_close(together[b], alone, "reduction", n=20, scale=50.0)


# ------------------------------------------------------------------ bad input


OP = NonlocalOperator.from_points(X, Gaussian(1.0))
NAN = np.where(np.arange(18).reshape(6, 3) == 4, np.nan, X)
BAD = [
    (lambda: original_step(NAN, Gaussian(1.0), W), NonFiniteError, "Z must be finite"),
    (lambda: original_step(X[:, 0], Gaussian(1.0), 1.0), ShapeError, "Z must have at least 2"),
    (lambda: original_step(X.astype(int), Gaussian(1.0), W), DtypeError, "Z must be a real floating"),
    (lambda: original_step(X, Gaussian(1.0), np.eye(2)), ShapeError, r"weight must be.*\(3, 3\)"),
    (lambda: original_step(X, Gaussian(1.0), 1j), DtypeError, "weight must be a real number"),
    (lambda: original_step(X, Gaussian(1.0), np.nan), NonFiniteError, "weight must be finite"),
    (lambda: original_step(X, Gaussian, W), DtypeError, "kernel must be a Kernel"),
    (lambda: original_step(X, Gaussian(1.0), W, normalize="rows"), ValueError, "normalize must be one of"),
    (lambda: original_step(X - 0.4, DotProduct(), W), NormalizationError, "row sum"),
    (lambda: original_flow(np.zeros((0, 3)), Gaussian(1.0)), ShapeError, "empty"),
    (lambda: original_flow(1e3 * np.ones((2, 1)), ExpDot(1.0), normalize="none"), DomainError, "overflow"),
    (lambda: stage(X, OP, []), ShapeError, "one weight a sub-block"),
    (lambda: stage(X, OP, np.zeros((0, 3, 3))), ShapeError, "weights must not be empty"),
    (lambda: stage(X, OP, W), ShapeError, r"weights must be \(N,\) numbers or \(N, C, C\) matrices"),
    (lambda: stage(X, OP, np.array(0.5)), ShapeError, "weights must have at least 1"),
    (lambda: stage(X, OP, np.array([1, 2])), DtypeError, "weights must be a real floating"),
    (lambda: stage(X, OP, [W, np.eye(2)]), ShapeError, r"weights\[1\] must be a number or a \(3, 3\)"),
    (lambda: stage(X, OP, [W, W.astype(np.float32)]), DtypeError, r"weights\[1\] and Z must share"),
    (lambda: stage(X, OP, [np.inf]), NonFiniteError, r"weights\[0\] must be finite"),
    (lambda: stage(X, OP, ["1"]), DtypeError, r"weights\[0\] must be a real number"),
    (lambda: stage(X, OP, 0.5), DtypeError, "expected arrays of one library"),
    (lambda: stage(X, OP.to_dense(), [W]), DtypeError, "op must be a NonlocalOperator"),
    (lambda: stage(X[:5], OP, [W]), ShapeError, "6 positions"),
    (lambda: stage(X.astype(np.float32), OP, [0.5]), DtypeError, "precision"),
    (lambda: stage(NAN, OP, [W]), NonFiniteError, "Z must be finite"),
    (lambda: residual_step(X, W1.T, W2), ShapeError, "W1 must be"),
    (lambda: residual_step(X, W1, W1), ShapeError, r"W2 \(channels, hidden\)"),
    (lambda: residual_step(X, W1[0], W2), ShapeError, "W1 must have 2 dimensions"),
    (lambda: residual_step(X, W1, W2.astype(np.float32)), DtypeError, "W2 and Z must share"),
    (lambda: residual_step(X, W1, W2, step=0.0), DomainError, "step must be > 0"),
    (lambda: residual_step(NAN, W1, W2), NonFiniteError, "Z must be finite"),
    (lambda: residual_step(X, np.full_like(W1, np.nan), W2), NonFiniteError, "W1 must be finite"),
    (lambda: reaction_diffusion_step(X, None, W1, W2), DtypeError, "op must be a NonlocalOperator"),
    (lambda: reaction_diffusion_step(X, OP, W1, W2, np.eye(2)), ShapeError, "weight must be"),
    (lambda: reaction_diffusion_step(X, OP, W1, W2, step=-1.0), DomainError, "step must be > 0"),
    (lambda: reaction_diffusion_step(torch.tensor(X), OP, W1, W2), DtypeError, "one library"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_one_point_and_equal_points():
    assert_close(stage(X[:1], NonlocalOperator.from_points(X[:1], Gaussian(1.0)), [W]), X[:1], "exact")
    same = np.repeat(X[:1], 4, axis=0)
    moved = stage(same, NonlocalOperator.from_points(same, Gaussian(1.0)), [W])
    assert_close(moved, same, "reduction", n=8, scale=10.0)


def test_inputs_are_left_alone():
    before = [x.copy() for x in (X, W, W1, W2)]
    for name in STEPS:
        called(name, lambda x: x)
    for x, kept in zip((X, W, W1, W2), before, strict=True):
        assert np.array_equal(x, kept)
