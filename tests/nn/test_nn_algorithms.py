"""Every fast algorithm against the definition: values, gradients, second derivatives, memory and operations."""

from contextlib import nullcontext

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from nlmodel.nn.averages import Associative, Dense, PrefixSums, Sorted
from nlmodel.nn.definition import product_sizes, reciprocal
from nlmodel.nn.second_order import twice_differentiable
from nlmodel.nn.shared import softmax_stage
from nlmodel.nn.symmetric import Factor, symmetric_average
from nlmodel.testing import assert_close
from tests.nn.nn_cases import (
    BLOCKS,
    STAGES,
    all_inputs,
    block,
    fast,
    features,
    function_of_all,
    stage,
    value_and_gradients,
)


MADE = [(block, *case) for case in BLOCKS] + [(stage, *case) for case in STAGES]
FAST = [(block, *case) for case in fast(BLOCKS)] + [(stage, *case) for case in fast(STAGES)]


def signed(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


INPUTS = {
    "generic": features(2, 3, 2, 3),
    "signed": signed(2, 3, 2, 3),
    "one position": features(2, 3, 1, 1),
    "ties": features(1, 3, 1, 2).repeat(2, 1, 1, 2),
    "zero": torch.zeros(1, 3, 2, 2, dtype=torch.float64),
}


@pytest.mark.parametrize("which", INPUTS)
@pytest.mark.parametrize(("make", "affinity", "how", "algorithm"), FAST)
def test_equals_the_definition_in_value_and_gradient(make, affinity, how, algorithm, which):
    if (affinity, how, which) == ("dot_product", "row", "signed"):
        which = "generic"  # row sums near zero: the quotient has no condition number to hold it to
    x = INPUTS[which]
    found = value_and_gradients(make(affinity, how, algorithm), x)
    expected = value_and_gradients(make(affinity, how, "dense"), x)
    for ours, theirs in zip(found, expected, strict=True):
        assert_close(ours, theirs, "reduction", n=64, scale=1.0 + float(theirs.abs().max()))
    if which == "generic":  # control: the other weights of the same size are told apart
        twin = make(affinity, how, algorithm)
        with torch.no_grad():
            twin.w_z.copy_(-twin.w_z) if make is stage else twin.w_z.weight.neg_()
        with pytest.raises(AssertionError, match="exceeds"):
            assert_close(twin(x).detach(), expected[0], "reduction", n=64)


GRADIENT_CASES = {
    "generic": {"shape": (1, 2, 1, 3), "channels": 2, "inner": 2},
    "one position": {"shape": (2, 2, 1, 1), "channels": 2, "inner": 3},
    "one channel": {"shape": (1, 1, 1, 3), "channels": 1, "inner": 1},
    "ties": {"shape": (1, 2, 1, 2), "channels": 2, "inner": 1},
}


WITH_ROW_SUMS = [
    case for case in MADE if case[2] == ("row" if case[1] in ("dot_product", "concatenation") else "softmax")
]
DIFFERENTIATED = [
    ("generic", *case) for case in MADE if case[1:3] not in (("gaussian", "row"), ("embedded_gaussian", "row"))
]
DIFFERENTIATED += [(which, *case) for which in GRADIENT_CASES if which != "generic" for case in WITH_ROW_SUMS]


@pytest.mark.parametrize(("which", "make", "affinity", "how", "algorithm"), DIFFERENTIATED)
def test_first_and_second_derivatives(make, affinity, how, algorithm, which):
    case = GRADIENT_CASES[which]
    x = features(*case["shape"])
    x = x.repeat(1, 1, 1, 2) if which == "ties" else x
    module = make(affinity, how, algorithm, case["channels"], case["inner"])
    inputs = all_inputs(module, x)
    assert gradcheck(function_of_all(module), inputs, fast_mode=True)
    assert gradgradcheck(function_of_all(module), inputs, fast_mode=True)


@pytest.mark.parametrize("algorithm", ["dense", "associative"])
@pytest.mark.parametrize("make", [block, stage])
def test_derivatives_where_scalar_products_vanish(make, algorithm):
    module = make("dot_product", "row", algorithm)
    with torch.no_grad():
        module.embedding.theta.weight.zero_()
    x = features(1, 3, 1, 3).requires_grad_()
    assert gradcheck(module, (x,), fast_mode=True) and gradgradcheck(module, (x,), fast_mode=True)
    assert_close(module(x).detach(), x.detach(), "exact")


@pytest.mark.parametrize("how", ["row", "symmetric"])
@pytest.mark.parametrize("algorithm", ["dense", "sorted"])
@pytest.mark.parametrize("make", [block, stage])
def test_derivatives_where_nobody_is_above_the_threshold(make, algorithm, how):
    module = make("concatenation", how, algorithm)
    with torch.no_grad():
        module.embedding.w.copy_(-module.embedding.w.abs())
    x = features(1, 3, 1, 3).requires_grad_()
    assert gradcheck(module, (x,), fast_mode=True) and gradgradcheck(module, (x,), fast_mode=True)
    assert_close(module(x).detach(), x.detach(), "exact")


@pytest.mark.parametrize(("make", "affinity", "how", "algorithm"), FAST)
def test_the_gradient_is_the_same_with_and_without_a_graph_of_it(make, affinity, how, algorithm):
    x, module = features(1, 3, 2, 2).requires_grad_(), make(affinity, how, algorithm)
    with_graph, without = (
        torch.autograd.grad(module(x).sin().sum(), (x, *module.parameters()), create_graph=graph, allow_unused=True)
        for graph in (True, False)
    )
    for ours, theirs in zip(with_graph, without, strict=True):
        assert_close(ours.detach(), theirs, "reduction", n=64, scale=1.0 + float(theirs.abs().max()))


@pytest.mark.parametrize("height", [2, 256])
@pytest.mark.parametrize("spread", [1.0, 30.0])
def test_symmetric_averages_of_lengths_near_and_far(spread, height, monkeypatch):
    """Far apart, exp(|x|^2 / 2) leaves the range of numbers, and the affinity itself is formed."""
    monkeypatch.setattr("nlmodel.nn.symmetric.rows_at_a_time", lambda positions, _: min(height, positions))  # 2, 2, 1
    x = features(3, 4, 1, 5) * torch.linspace(1.0, spread, 5, dtype=torch.float64)
    fast, dense = (block("gaussian", "softmax", a, channels=4, inner=2, scale=1.7) for a in ("symmetric", "dense"))
    assert (Factor.of(x.flatten(2), 1.7) is None) == (spread > 1.0)
    scale = 1.0 + float((x * x).sum(1).max())  # of the logits, whose rounding every entry of K carries
    for ours, theirs in zip(value_and_gradients(fast, x), value_and_gradients(dense, x), strict=True):
        assert_close(ours, theirs, "reduction", n=64, scale=scale * (1.0 + float(theirs.abs().max())))


def test_symmetric_averages_of_a_batch_in_parts(monkeypatch):
    module, x = block("gaussian", "softmax", "symmetric"), features(5, 3, 2, 3)
    together = value_and_gradients(module, x)
    monkeypatch.setattr("nlmodel.nn.symmetric.images_at_a_time", lambda *_: 2)  # 2, 2 and 1
    for ours, theirs in zip(value_and_gradients(module, x), together, strict=True):
        assert_close(ours, theirs, "reduction", n=64, scale=1.0 + float(theirs.abs().max()))


OPERATORS = {
    "shared": lambda X, w: softmax_stage(X, None, None, w, w.mT, 1, 0.5, 0.7, True, True)[0],
    "symmetric": lambda X, w: symmetric_average(X, w[0], 0.5)[0],
}


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("operator", OPERATORS)
def test_a_backward_pass_within_autocast_is_the_one_without(operator, again, monkeypatch):
    X, w = features(2, 4, 6).float().requires_grad_(), features(2, 3, 4).float().requires_grad_()

    def gradients(autocast):
        loss = OPERATORS[operator](X, w).square().sum()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            return torch.cat([g.flatten() for g in torch.autograd.grad(loss, (X, w), create_graph=again)])

    assert torch.equal(gradients(True), gradients(False))
    monkeypatch.setattr(f"nlmodel.nn.{operator}.outside_autocast", lambda x: nullcontext())  # control
    with pytest.raises((RuntimeError, AssertionError)):
        assert torch.equal(gradients(True), gradients(False))


def test_the_guard_of_vanishing_row_sums_is_one_for_all_algorithms():
    """sum_j x.y_j is rounding where it is small beside sum_j sum_d |x_d y_jd|, whatever the algorithm."""
    left = torch.tensor([[[1.0, 1e8], [1e9, 1.0]]], dtype=torch.float64)
    right = torch.tensor([[[1e-8, 1.0], [1e-8, -1.0]]], dtype=torch.float64)
    V = features(1, 2, 3)
    sums = left @ right.sum(-2, keepdim=True).mT
    assert float(sums.abs().min()) > 0 and float(product_sizes(left, right)[0, 0]) > 1e8
    dense, fast = (A.of("dot_product", left, right, "row") for A in (Dense, Associative))
    assert torch.equal(dense.rate, fast.rate) and dense.rate.flatten().tolist() == [0.0, 1.0]
    assert_close(fast(V), dense(V), "reduction", n=4)
    assert torch.equal(reciprocal(sums, sums.abs())[1], torch.ones_like(sums))  # control: no guard


def test_the_definition_that_a_second_derivative_goes_through_matters():
    x = signed(3).requires_grad_()
    right, wrong = (twice_differentiable(x.sin(), definition, x).sum() for definition in (torch.sin, torch.cos))
    assert_close(torch.autograd.grad(right, x, create_graph=True)[0].detach(), x.detach().cos())
    with pytest.raises(AssertionError, match="exceeds"):  # control
        assert_close(torch.autograd.grad(wrong, x, create_graph=True)[0].detach(), x.detach().cos())


def test_sums_over_sorted_senders_count_a_tie_with_the_threshold_as_the_definition_does():
    """a_i + b_j = 0 has no weight, and the derivative zero."""
    a = torch.tensor([[[1.0], [-2.0], [0.5]]], dtype=torch.float64, requires_grad=True)
    b = torch.tensor([[[-1.0], [2.0], [-0.5], [2.0]]], dtype=torch.float64, requires_grad=True)
    V = features(1, 4, 2)
    sums, definition = PrefixSums.of(a, b)(V), Dense.of("concatenation", a, b, "none")(V)
    assert_close(sums.detach(), definition.detach(), "reduction", n=16)
    for ours, theirs in zip(
        torch.autograd.grad(sums.sum(), (a, b)), torch.autograd.grad(definition.sum(), (a, b)), strict=True
    ):
        assert_close(ours, theirs, "reduction", n=16)
    inclusive = torch.searchsorted((-b).detach()[..., 0].sort().values, a.detach()[..., 0], right=True)  # control
    assert not torch.equal(inclusive, PrefixSums.of(a, b).count[..., 0])


def test_sorted_sums_are_as_accurate_as_their_data():
    a, b, V = signed(1, 200, 1), signed(1, 200, 1) * 3, signed(1, 200, 2)
    scale = float((a.abs().max() + b.abs().max()) * V.abs().sum())
    ours, theirs = (A.of("concatenation", a, b, "none")(V) for A in (Sorted, Dense))
    assert_close(ours, theirs, "reduction", n=200, scale=scale / 200)


class Largest(TorchDispatchMode):
    """Notes the largest tensor that any operation makes, and the names of the operations."""

    def __init__(self):
        super().__init__()
        self.numel, self.names = 0, set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.names.add(str(func))
        for t in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(t, torch.Tensor):
                self.numel = max(self.numel, t.numel())
        return out


def largest(module, x):
    with Largest() as seen:
        value_and_gradients(module, x)
    return seen


@pytest.mark.parametrize(("affinity", "algorithm"), [
    ("gaussian", "fused"), ("embedded_gaussian", "fused"), ("dot_product", "associative"), ("concatenation", "sorted"),
])  # fmt: skip
@pytest.mark.parametrize("make", [block, stage])
def test_no_matrix_of_all_pairs_is_ever_made(make, affinity, algorithm):
    how = "softmax" if algorithm == "fused" else "row"
    x = features(1, 3, 12, 12)
    assert largest(make(affinity, how, algorithm), x).numel < 144 * 144 / 8
    assert largest(make(affinity, how, "dense"), x).numel >= 144 * 144  # control


def test_fused_attention_takes_the_path_that_stores_nothing():
    for affinity in ("gaussian", "embedded_gaussian"):  # head widths 3 and 2, values of width 2
        names = largest(block(affinity, "softmax", "fused"), features(2, 3, 4, 4)).names
        assert any("scaled_dot_product_flash_attention_for_cpu" in name for name in names)
    q = features(2, 3, 16).mT[:, None]  # control: unequal widths
    with Largest() as seen:
        torch.nn.functional.scaled_dot_product_attention(q, q, q[..., :2])
    assert not any("flash" in name for name in seen.names)


COUNTED = [
    (*case, subsample)
    for case in BLOCKS
    for subsample in (None, "before", "after")
    if case[1] in ("softmax", "size") and not (subsample and case[2] in ("moments", "symmetric"))
]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("affinity", "how", "algorithm", "subsample"), COUNTED)
def test_the_plan_counts_the_operations_of_a_block(affinity, how, algorithm, subsample, bias):
    module = block(affinity, how, algorithm, 6, 4, subsample=subsample, bias=bias)
    shape, senders = (2, 6, 4, 6), 24 if subsample is None else 6
    with FlopCounterMode(display=False) as counter:
        module(features(*shape))
    uncounted = {"fused": 16 * 2 * 24 * senders * (6 if affinity == "gaussian" else 4) // 4}
    uncounted["sorted"] = 4 * 2 * (24 + senders) * 5
    uncounted["symmetric"] = 2 * 2 * 24 * (24 * (6 + 4) + 6 * 4)
    assert module.plan(shape).flops - counter.get_total_flops() == uncounted.get(algorithm, 0)


@pytest.mark.parametrize(("affinity", "how", "algorithm"), [c for c in STAGES if c[2] in ("dense", "associative")])
def test_the_plan_counts_the_operations_of_a_stage(affinity, how, algorithm):
    module = stage(affinity, how, algorithm, 6, 4)
    with FlopCounterMode(display=False) as counter:
        module(features(2, 6, 4, 6))
    assert module.plan((2, 6, 4, 6)).flops == counter.get_total_flops()
    assert module.plan((2, 6, 4, 5)).flops != counter.get_total_flops()  # control


def test_the_plan_chooses_what_is_cheaper_and_says_why():
    big, small = (4, 3, 32, 32), (4, 3, 1, 1)
    for affinity, name in {"gaussian": "symmetric", "dot_product": "moments", "concatenation": "sorted"}.items():
        module = block(affinity, None)
        plan, dense = module.plan(big), block(affinity, None, "dense").plan(big)
        assert plan.algorithm == name
        assert plan.peak < dense.peak / 3 and plan.bytes <= dense.bytes
        assert name in repr(plan) and plan.reason in repr(plan)
    assert block("dot_product", None).plan(small).algorithm == "dense"
    assert block("dot_product", None, channels=8).plan((4, 8, 32, 32)).algorithm == "associative"  # 8 > 2 + 2 + 2
    assert block("dot_product", None, subsample="after").plan(big).algorithm == "associative"
    assert block("gaussian", None, inner=3).plan(big).algorithm == "fused"
    assert block("embedded_gaussian", None).plan(big).algorithm == "fused"
    assert block("gaussian", "symmetric").plan(big).algorithm == "dense"
    assert stage("gaussian", "softmax").plan(big).algorithm == "shared"
