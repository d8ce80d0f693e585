"""Certificates of stages, the parametrisations that keep them through training, the penalty that asks for them."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils import parametrize

import nlmodel as nl
from nlmodel import NonlocalOperator
from nlmodel.errors import ChoiceError, DomainError, DtypeError, NormalizationError, ShapeError
from nlmodel.nn import (
    Averaging,
    Contraction,
    NonlocalStage,
    affinity_family,
    certified,
    cfl_penalty,
    stage_certificate,
    worst_case,
)
from nlmodel.nn.parametrizations import SpectralBall, ball
from nlmodel.testing import assert_close, tolerance
from tests.nn.nn_cases import features, seeded, stage


STEPS = 200
REVERSIBLE: dict[str, Any] = {"affinity": "embedded_gaussian", "symmetric": True}
MARKOV: dict[str, Any] = {"affinity": "embedded_gaussian"}
ZERO_ONE: dict[str, Any] = {"affinity": "concatenation", "normalize": "row", "symmetric": True}
SYMMETRIC: dict[str, Any] = {"affinity": "gaussian", "normalize": "symmetric"}
SYMMETRIC_SUM: dict[str, Any] = {"affinity": "concatenation", "normalize": "symmetric", "symmetric": True}
SMALL, LARGE, SINGLE = (torch.float64, 0.01, 1.0), (torch.float64, 30.0, 0.5), (torch.float32, 1.0, 2.0)
PROTECTED = [  # kind, tie, affinity; dtype, size and step at start
    ("contraction", "psd", REVERSIBLE, SMALL),
    ("contraction", "psd", ZERO_ONE, SINGLE),
    ("averaging", "psd", MARKOV, LARGE),
    ("disc", None, REVERSIBLE, LARGE),
    ("disc", None, SYMMETRIC, SINGLE),
]


def made(tie, dtype=torch.float64, w_init: str | float = 0.5, step=1.0, seed=3, **more: Any) -> NonlocalStage:
    scale = more["affinity"] != "concatenation"
    found = NonlocalStage(
        3, 2, inner=2, tie=tie, w_init=w_init, step=step, generator=seeded(seed), dimension=1, scale=scale, **more
    )
    return found.to(dtype)


def holds(module, kind: str, x) -> bool:
    """What `kind` promises of the certificate."""
    certificate = module.certificate(x)
    if kind == "averaging":
        return all(block.maximum.allows(1.0) for block in certificate.blocks)
    return certificate.verdict == "contractive"


def random_steps(module, steps: int, seed: int = 11):
    """Optimiser steps along gradients that know nothing of stability; yields an input after each."""
    g = seeded(seed)
    optimiser = torch.optim.Adam(module.parameters(), lr=0.05)
    for _ in range(steps):
        for p in module.parameters():
            p.grad = torch.randn(p.shape, dtype=p.dtype, generator=g) + 0.3
        optimiser.step()
        yield torch.randn(3, 4, dtype=module.w_z.dtype, generator=g)


@pytest.mark.parametrize(("kind", "tie", "affinity", "start"), PROTECTED)
def test_the_certificate_holds_after_every_step(kind, tie, affinity, start):
    free = made(tie, *start, **affinity)
    module = certified(copy.deepcopy(free), kind)
    assert all(holds(module, kind, x) for x in random_steps(module, STEPS))
    assert not all(holds(free, kind, x) for x in random_steps(free, STEPS))  # control: nothing keeps it there


@pytest.mark.parametrize(("kind", "tie"), [("contraction", "psd"), ("disc", None)])
@pytest.mark.parametrize(("s_max", "expected"), [(None, "contractive"), (1.0, "unstable")])
def test_the_worst_kernel_is_withstood_and_no_less(kind, tie, s_max, expected):
    """K = [[0, 1], [1, 0]] has s = 2: a stage made for s_max = 1 is unstable there (control)."""
    module = certified(made(tie, w_init=30.0, seed=5, **ZERO_ONE), kind, s_max=s_max)
    if kind == "disc":
        with torch.no_grad():  # Q = -I, the far side of the disc
            module.get_parameter("parametrizations.w_g.original").copy_(-torch.eye(2))
    op = NonlocalOperator.from_affinity(np.array([[0.0, 1.0], [1.0, 0.0]]), "row")
    assert nl.certify(op, list(module.weight_matrices().detach().numpy())).verdict == expected


@pytest.mark.parametrize(
    ("family", "affinity"), [("psd", REVERSIBLE), ("psd", SYMMETRIC), ("reversible", ZERO_ONE), ("markov", MARKOV)]
)
def test_the_family_of_an_affinity(family, affinity):
    assert affinity_family(made("psd", **affinity)) == family


def test_averaging_withstands_every_row_stochastic_kernel():
    module = certified(made("psd", w_init=30.0, step=0.5, **MARKOV), "averaging")
    assert all(bound.allows(1.0) for bound in worst_case(module))
    wide = certified(made("psd", w_init=30.0, step=0.5, **REVERSIBLE), "contraction")
    assert not any(bound.allows(1.0) for bound in worst_case(wide))  # control: 2/(h s_max) is too much there
    assert all(bound.allows(1.0) for bound in worst_case(wide, family="psd"))


@pytest.mark.parametrize(
    ("affinity", "how", "more"),
    [
        ("gaussian", "row", {}),
        ("gaussian", "symmetric", {}),
        ("gaussian", "none", {}),
        ("embedded_gaussian", "softmax", {}),
        ("embedded_gaussian", "softmax", {"symmetric": True}),
        ("dot_product", "size", {"symmetric": True}),
        ("concatenation", "row", {"symmetric": True}),
    ],
)
def test_equals_the_certificate_of_the_dense_operator(affinity, how, more):
    module, x = stage(affinity, how, step=0.5, **more), features(2, 3, 2, 2)
    K = module.affinity(x).detach().numpy()
    W = 0.5 * module.weight_matrices().detach().numpy()
    certificates = module.certificate(x)
    assert isinstance(certificates, list)
    for k, found in zip(K, certificates, strict=True):
        generator = k - np.diag(np.ones(4) if how == "symmetric" else k.sum(1))
        T = np.eye(12)
        for w in W:
            T = (np.eye(12) + np.kron(generator, w)) @ T  # (Z_1, ..., Z_M) stacked
        bound = tolerance("solve", n=12, cond=float(np.linalg.cond(T)), scale=float(np.linalg.norm(T, 2)))
        assert abs(found.radius - np.max(np.abs(np.linalg.eigvals(T)))) <= np.sqrt(bound)
        if more.get("symmetric") or affinity == "gaussian":
            m = np.sqrt(measure(affinity, module, k))
            norm = np.linalg.norm(np.kron(np.diag(m), np.eye(3)) @ T @ np.kron(np.diag(1 / m), np.eye(3)), 2)
            assert found.measure == "energy"
        else:
            norm = np.linalg.norm(T, 2)
            assert found.measure == "euclidean"
        assert abs(found.norm - norm) <= bound
        assert abs(found.norm - np.linalg.norm(T @ T, 2)) > bound  # control: two passes are another number


def measure(affinity, module, k):
    """Detailed balance m_i K_ij = m_j K_ji, from the first row."""
    return k[0] / k[:, 0]


def test_positions_that_see_nobody_stay():
    module = made("psd", seed=6, **ZERO_ONE)
    with torch.no_grad():
        module.get_parameter("embedding.theta.weight").fill_(1.0)
        module.get_parameter("embedding.w").fill_(1.0)
    x = torch.tensor([[1.0, 2.0, -9.0]] * 3, dtype=torch.float64)
    assert not module.affinity(x)[2].any()
    found, alone = module.certificate(x), module.certificate(x[:, :2])
    assert isinstance(found, nl.Certificate)
    assert isinstance(alone, nl.Certificate)
    assert_close(np.asarray(found.blocks[0].norm), np.asarray(alone.blocks[0].norm), "solve", n=6)
    with pytest.raises(NormalizationError, match="row"):  # control: a rate of 1 there is no such position
        made("psd", seed=6, **SYMMETRIC_SUM).certificate(-x.abs() * 0)


def test_one_image_one_certificate():
    module, x = stage("gaussian", "softmax"), features(2, 2, 3, 2, 2)
    batch = stage_certificate(module, x)
    assert isinstance(batch, list)
    assert len(batch) == 4
    alone = stage_certificate(module, x[1, 0])
    assert isinstance(alone, nl.Certificate)
    assert alone.norm == batch[2].norm != batch[0].norm
    assert module.w_z.grad is None


def test_weights_within_the_bound_are_kept_and_every_bound_is_reached():
    for kind, radius2 in (("contraction", 2 / 0.5), ("averaging", 1 / 0.5)):
        for size in (0.1, 30.0):
            free = made("psd", w_init=size, step=0.5, **REVERSIBLE)
            module = certified(copy.deepcopy(free), kind)
            norms = torch.linalg.matrix_norm(module.weight_matrices().detach(), 2).numpy()
            if size < 1:
                assert torch.equal(module.w_z, free.w_z)
            else:
                assert_close(norms, np.full(2, radius2), "reduction", n=24)
                assert np.all(norms <= radius2)


def test_the_disc_keeps_a_weight_that_lies_in_it():
    B = 0.3 * torch.randn(2, 3, 2, dtype=torch.float64, generator=seeded(1))
    Q = ball(torch.randn(2, 2, 2, dtype=torch.float64, generator=seeded(2)), 0.9)
    free = made(None, **REVERSIBLE)
    with torch.no_grad():
        free.w_z.copy_(B)
        assert free.w_g is not None
        free.w_g.copy_((torch.eye(2) - Q) @ B.mT)
    module = certified(copy.deepcopy(free), "disc")
    cond = float(torch.linalg.cond(B).max())
    assert_close(module.weight_matrices(), free.weight_matrices(), "solve", n=3, cond=cond)
    W = module.weight_matrices().detach()
    asymmetry = float((W - W.mT).abs().max())
    assert asymmetry > tolerance("reduction", n=8, scale=float(W.abs().max()))


@pytest.mark.parametrize(("kind", "tie"), [("contraction", "psd"), ("averaging", "psd"), ("disc", None)])
@pytest.mark.parametrize("size", [0.1, 3.0])
def test_gradients_of_the_parametrisations(kind, tie, size):
    module = certified(made(tie, w_init=size, **REVERSIBLE), kind)
    names, values = zip(*((n, p) for n, p in module.named_parameters() if "parametrizations" in n), strict=True)

    def weights(*given):
        return torch.func.functional_call(Weights(module), {f"stage.{n}": g for n, g in zip(names, given, strict=True)})

    assert torch.autograd.gradcheck(weights, [v.detach().clone().requires_grad_() for v in values])


class Weights(torch.nn.Module):
    """W^n as a forward pass."""

    def __init__(self, of):
        super().__init__()
        self.stage = of

    def forward(self):
        return self.stage.weight_matrices()


def test_the_state_of_a_certified_stage_travels():
    x = features(1, 3, 4)
    for kind, tie in (("contraction", "psd"), ("disc", None)):
        module = certified(made(tie, w_init=2.0, **REVERSIBLE), kind)
        other = certified(made(tie, w_init=1.0, seed=8, **REVERSIBLE), kind)
        assert not torch.equal(other(x), module(x))
        other.load_state_dict(module.state_dict())
        assert torch.equal(other(x), module(x))
        twin = copy.deepcopy(module)
        with torch.no_grad():
            twin.get_parameter("parametrizations.w_z.original").mul_(0.1)
        assert torch.equal(other(x), module(x))
        assert not torch.equal(twin(x), module(x))
        if kind == "disc":  # the copy's W_g follows the copy's W_Z
            assert twin.w_g is not None
            both = torch.cat([twin.w_g.mT, twin.w_z], -1).detach()
            assert torch.equal(torch.linalg.matrix_rank(both), torch.tensor([2, 2]))


@pytest.mark.parametrize("tie", ["psd", None])
def test_the_penalty_is_zero_in_the_region_and_nowhere_else(tie):
    kind = "contraction" if tie else "disc"
    for seed in range(20):
        free = made(tie, w_init=1.5, seed=seed, **REVERSIBLE)
        inside = certified(copy.deepcopy(free), kind)
        assert float(cfl_penalty(inside).detach()) == 0
        W = free.weight_matrices().detach().numpy()
        beyond = np.linalg.svd(np.eye(3) - W, compute_uv=False) - 1
        expected = np.sum(np.where(beyond > tolerance("reduction", n=16), beyond, 0) ** 2)
        assert expected > 0
        assert_close(cfl_penalty(free).detach().numpy(), np.asarray(expected), "reduction", n=64, scale=100.0)
        parameters = [free.w_z] if free.w_g is None else [free.w_z, free.w_g]
        gradient = torch.autograd.grad(cfl_penalty(free), parameters)
        assert all(float(g.abs().max()) > 0 for g in gradient)


def test_gradients_of_the_penalty():
    def price(w_z, w_g):
        return torch.func.functional_call(Price(free), {"stage.w_z": w_z, "stage.w_g": w_g})

    free = made(None, w_init=1.0, **REVERSIBLE)
    assert free.w_g is not None
    values = [p.detach().clone().requires_grad_() for p in (free.w_z, free.w_g)]
    assert torch.autograd.gradcheck(price, values)


class Price(torch.nn.Module):
    """The penalty as a forward pass."""

    def __init__(self, of):
        super().__init__()
        self.stage = of

    def forward(self):
        return cfl_penalty(self.stage)


def test_descent_on_the_penalty_reaches_the_region():
    free = made("psd", w_init=2.0, **REVERSIBLE)
    optimiser = torch.optim.SGD([free.w_z], lr=0.02)
    first = float(cfl_penalty(free).detach())
    values = []
    for _ in range(100):
        optimiser.zero_grad()
        price = cfl_penalty(free)
        price.backward()
        optimiser.step()
        values.append(float(price.detach()))
    assert values[-1] < first / 100


def zero_start():
    return certified(made(None, w_init="zero", **REVERSIBLE), "disc")


def twice():
    return certified(certified(made("psd", **REVERSIBLE), "averaging"), "contraction")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: certified(made("psd", **REVERSIBLE), "stable"), ChoiceError, "kind"),
        (lambda: certified(made(None, **REVERSIBLE), "contraction"), DomainError, "not symmetric"),
        (lambda: certified(made(None, **REVERSIBLE), "averaging"), DomainError, "tie='psd'"),
        (lambda: certified(made("psd", **REVERSIBLE), "disc"), DomainError, "B B\\^T is symmetric"),
        (lambda: certified(made("psd", **MARKOV), "contraction"), DomainError, "reversible"),
        (lambda: certified(made("psd", affinity="dot_product"), "averaging"), DomainError, "no bound"),
        (lambda: certified(made("psd", affinity="gaussian", normalize="size"), "contraction"), DomainError, "no bound"),
        (lambda: certified(made("psd", **REVERSIBLE), "contraction", s_max=-1.0), DomainError, "s_max"),
        (lambda: certified(made("psd", **REVERSIBLE), "contraction", s_max=float("nan")), ValueError, "s_max"),
        (lambda: certified(made("psd", form="sum", **REVERSIBLE), "contraction"), DomainError, "difference form"),
        (zero_start, DomainError, "W_Z = 0"),
        (twice, DomainError, "parametrised already"),
        (lambda: certified(torch.nn.Linear(2, 2), "averaging"), DtypeError, "NonlocalStage"),  # pyright: ignore
        (lambda: cfl_penalty(made("psd", **MARKOV)), DomainError, "reversible"),
        (lambda: cfl_penalty(made("psd", affinity="dot_product")), DomainError, "no bound"),
        (lambda: worst_case(made("psd", **MARKOV), family="all"), ChoiceError, "family"),
        (lambda: worst_case(made("psd", form="sum", **MARKOV)), DomainError, "difference form"),
        (lambda: made("psd", form="sum", **MARKOV).certificate(features(3, 4)), DomainError, "difference form"),
        (lambda: made("psd", **MARKOV).certificate(features(2, 4)), ShapeError, "shape"),
        (lambda: made("psd", **MARKOV).certificate(features(3, 4).float()), DtypeError, "dtype"),
        (lambda: stage_certificate(torch.nn.Linear(2, 2), features(3, 4)), DtypeError, "NonlocalStage"),  # pyright: ignore
        (lambda: Contraction(0.0), DomainError, "s_max"),
        (lambda: Averaging(step=-1.0), DomainError, "step"),
        (lambda: SpectralBall(0.0), DomainError, "radius"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_nothing_is_registered_when_refused():
    module = made("psd", **MARKOV)
    with pytest.raises(DomainError):
        certified(module, "contraction")
    assert not parametrize.is_parametrized(module)


def test_a_certified_stage_is_not_drawn_anew():
    free = made("psd", w_init=1.0, seed=3, **ZERO_ONE)
    before = free.w_z.detach().clone()
    free.reset_parameters(torch.Generator().manual_seed(9))
    assert not torch.equal(free.w_z, before)  # control: a free stage is
    with pytest.raises(DomainError, match="cannot draw its weights anew"):
        certified(free, "contraction").reset_parameters()


@pytest.mark.parametrize(
    ("kind", "tie", "looks"), [("contraction", "psd", 1), ("averaging", "psd", 1), ("disc", None, 3)]
)
def test_computed_weights_are_computed_once_a_pass(kind, tie, looks, monkeypatch):
    """Two balls, and for W_g that of W_Z again."""
    module, x, seen = certified(made(tie, w_init=1.0, **REVERSIBLE), kind), features(1, 3, 4), []
    exact = torch.linalg.svdvals
    monkeypatch.setattr(torch.linalg, "svdvals", lambda B: seen.append(B) or exact(B))
    module(x)
    assert len(seen) == looks
    module.plan(x.shape)
    assert len(seen) == looks
