"""The nonlocal stage: NumPy's numbers, what it keeps for every weight, its forms, ties and steps, bad input."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save

from nlmodel import NonlocalOperator
from nlmodel import network as core
from nlmodel.errors import ChoiceError, DomainError, DtypeError, ShapeError
from nlmodel.kernels import Concatenation, DotProduct, Embedded, ExpDot
from nlmodel.nn import NonlocalStage
from nlmodel.nn.choices import exact_algorithms
from nlmodel.nn.tiles import images_at_a_time
from nlmodel.testing import assert_close, tolerance
from tests.nn.nn_cases import STAGES, features, seeded, stage, value_and_gradients


SEEDS = st.integers(0, 2**31 - 1)
KEEPING = [("gaussian", "softmax", a) for a in exact_algorithms("gaussian", "softmax", stage=True)]
KEEPING += [("dot_product", "row", "associative"), ("concatenation", "row", "sorted"), ("gaussian", "size", "dense")]


def operator(module, rows: np.ndarray) -> NonlocalOperator:
    """L of the NumPy core with the module's numbers."""
    E, how = module.embedding, module.normalize
    kernel = DotProduct() if E.affinity == "dot_product" else ExpDot(1 / E.scale)
    if E.affinity == "concatenation":
        kernel = Concatenation(E.w.detach().numpy()[0], E.w.detach().numpy()[-1])
    if E.theta is not None:
        kernel = Embedded(kernel, E.theta.weight.detach().numpy(), E.senders_layer.weight.detach().numpy())
    weights = 1 / len(rows) if how == "size" else None
    return NonlocalOperator.from_points(
        rows, kernel, {"softmax": "row", "size": "none"}.get(how, how), storage="dense", weights=weights
    )


@pytest.mark.parametrize(("affinity", "how", "algorithm"), STAGES)
def test_equals_the_stage_of_the_numpy_core(affinity, how, algorithm):
    module, x = stage(affinity, how, algorithm, step=0.5), features(3, 2, 3)
    rows, W = x.flatten(1).T.numpy(), 0.5 * module.weight_matrices().detach().numpy()
    op = operator(module, rows)
    found, expected = module(x).detach().flatten(1).T.numpy(), core.stage(rows, op, W)
    assert_close(found, expected, "reduction", n=256, scale=1 + np.max(np.abs(expected)))
    for wrong in (core.stage(rows, op, W[::-1]), core.stage(rows, op, np.swapaxes(W, -1, -2))):  # controls
        with pytest.raises(AssertionError, match="exceeds"):
            assert_close(found, wrong, "reduction", n=256)
    assert_close(module.affinity(x).detach().numpy(), op.averaging.to_dense(), "reduction", n=64)


@pytest.mark.parametrize(("affinity", "how", "algorithm"), KEEPING)
@settings(max_examples=20)
@given(seed=SEEDS)
def test_constants_are_fixed_for_every_weight(affinity, how, algorithm, seed):
    module = unstable(seed, affinity, how, algorithm)
    x = torch.randn(2, 3, 1, 1, dtype=torch.float64, generator=seeded(seed)).abs().expand(2, 3, 2, 3)
    bound = tolerance("reduction", n=64, scale=growth(module) * float(x.max()) * size_of_affinity(module, x))
    assert float((module(x) - x).detach().abs().max()) <= bound
    summed = unstable(seed, affinity, how, algorithm, form="sum")
    assert float((summed(x) - x).detach().abs().max()) > bound  # control: the original form moves constants


@pytest.mark.parametrize("algorithm", exact_algorithms("gaussian", "softmax", stage=True))
@settings(max_examples=20)
@given(seed=SEEDS)
def test_the_weighted_mean_is_kept_for_every_weight(algorithm, seed):
    """sum_i C_i Z_i / sum_i C_i with C_i = sum_j exp(x_i.x_j), and not the plain mean."""
    module = unstable(seed, "gaussian", "softmax", algorithm)
    x = torch.randn(1, 3, 2, 3, dtype=torch.float64, generator=seeded(seed))
    rows = x[0].flatten(1).T
    C = torch.exp(rows @ rows.T).sum(-1, keepdim=True)
    moved = module(x)[0].flatten(1).T.detach()
    change = (C * (moved - rows)).sum(0) / C.sum()
    assert float(change.abs().max()) <= tolerance("reduction", n=64, scale=growth(module) * float(rows.abs().max()))


def test_the_plain_mean_is_not_kept():
    module, x = unstable(1, "gaussian", "softmax", "auto"), features(1, 3, 2, 3)
    assert float((module(x) - x).detach().mean((-1, -2)).abs().max()) > 1e-3


def unstable(seed: int, affinity: str, how: str, algorithm: str, form: str = "difference") -> NonlocalStage:
    """Random weights of either sign and of order one."""
    module = stage(affinity, how, algorithm, form=form)
    with torch.no_grad():
        for w in (module.w_g, module.w_z):
            w.copy_(torch.randn(w.shape, dtype=w.dtype, generator=seeded(seed + w.shape[1])))
    return module


def growth(module: NonlocalStage) -> float:
    """How much the sub-blocks can magnify rounding, in the largest entry."""
    w_z, w_g = (w.detach().abs().sum(-1).amax(-1) for w in (module.w_z, module.w_g))
    return float(torch.prod(1 + 2 * w_z * w_g))


def size_of_affinity(module: NonlocalStage, x: torch.Tensor) -> float:
    return 1 + float(module.affinity(x).detach().abs().sum(-1).max()) ** module.blocks


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("algorithm", exact_algorithms("gaussian", "softmax", stage=True))
def test_constants_are_fixed_in_few_bits(algorithm, dtype):
    module = unstable(3, "gaussian", "softmax", algorithm).to(dtype)
    x = features(2, 3, 1, 1).expand(2, 3, 4, 4).to(dtype)
    gap = float((module(x).float() - x.float()).detach().abs().max())
    assert gap <= torch.finfo(dtype).eps * float(x.abs().max()) + tolerance(
        "reduction", np.float32, n=16, scale=growth(module)
    )
    assert module(x).dtype == dtype and module.affinity(x).dtype == torch.float32


def test_autocast_runs_the_sub_blocks_in_float32():
    module, x = stage("embedded_gaussian", "softmax").float(), features(2, 3, 4, 4).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = module(x)
    assert out.dtype == torch.float32
    assert float((out - module(x)).detach().abs().max()) <= 16 * torch.finfo(torch.bfloat16).eps * float(
        out.detach().abs().max()
    )


@pytest.mark.parametrize(("affinity", "how", "algorithm"), STAGES)
def test_commutes_with_permutations_and_knows_no_dimension(affinity, how, algorithm):
    x, order = features(2, 3, 8), torch.randperm(8, generator=seeded())
    line, image = (stage(affinity, how, algorithm, dimension=d) for d in (1, 2))
    scale = 1 + float(line(x).detach().abs().max())
    assert_close(line(x[..., order]).detach(), line(x)[..., order].detach(), "reduction", n=64, scale=scale)
    assert_close(image(x.view(2, 3, 2, 4)).flatten(2).detach(), line(x).detach(), "reduction", n=64, scale=scale)
    assert_close(line(x[0]).detach(), line(x)[0].detach(), "reduction", n=64, scale=scale)
    assert not torch.allclose(line(x[..., order]), line(x))  # control


@pytest.mark.parametrize("form", ["difference", "sum"])
@pytest.mark.parametrize("tie", [None, "psd"])
def test_shared_equals_the_definition_in_both_forms_and_for_tied_weights(form, tie):
    x = features(3, 3, 2, 3)
    fast, dense = (stage("embedded_gaussian", "softmax", a, form=form, tie=tie, step=0.7) for a in ("shared", "dense"))
    for ours, theirs in zip(value_and_gradients(fast, x), value_and_gradients(dense, x), strict=True):
        assert_close(ours, theirs, "reduction", n=64, scale=1.0 + float(theirs.abs().max()))


def test_several_images_at_a_time_give_the_same_numbers(monkeypatch):
    module, x = stage("embedded_gaussian", "softmax", "shared"), features(5, 3, 2, 3)
    apart = value_and_gradients(module, x)
    monkeypatch.setattr("nlmodel.nn.shared.images_at_a_time", lambda *_: 2)  # 2, 2 and 1
    for ours, theirs in zip(value_and_gradients(module, x), apart, strict=True):
        assert_close(ours, theirs, "reduction", n=64, scale=1.0 + float(theirs.abs().max()))


def test_how_many_affinities_fit():
    assert images_at_a_time(32, 1024**2, 4, "cpu") == 1
    assert images_at_a_time(32, 256**2, 4, "cpu") == 16
    assert images_at_a_time(4, 16**2, 4, "cpu") == 4
    assert images_at_a_time(32, 10**10, 8, "cpu") == 1


def test_sum_form_is_the_difference_form_and_a_convolution():
    x = features(2, 3, 2, 3)
    one, other = (
        NonlocalStage(3, 1, inner=2, form=form, w_init="he", generator=seeded()).double()
        for form in ("sum", "difference")
    )
    W = one.weight_matrices()[0]
    expected = one(x) - torch.einsum("cd,bdhw->bchw", W, x)
    assert_close(other(x).detach(), expected.detach(), "reduction", n=16)
    assert not torch.allclose(one(x), other(x))


def test_tied_weights_are_symmetric_and_semidefinite():
    W = stage("gaussian", "softmax", tie="psd").weight_matrices().detach()
    assert_close(W.mT.contiguous(), W, "reduction", n=3)
    assert float(torch.linalg.eigvalsh(W).min()) >= -tolerance("solve", n=3, scale=float(W.abs().max()))
    free = stage("gaussian", "softmax").weight_matrices().detach()  # control
    assert not torch.allclose(free, free.mT)
    started = NonlocalStage(4, 2, tie="psd")
    started(torch.randn(2, 4, 3, 3, generator=seeded())).square().sum().backward()
    assert float(started.w_z.grad.abs().max()) > 0


def test_is_the_identity_at_start_and_leaves_it():
    x = torch.randn(2, 4, 3, 3, generator=seeded())
    module = NonlocalStage(4, 3, generator=seeded())
    assert torch.equal(module(x), x)
    assert not torch.equal(NonlocalStage(4, 3, w_init="he")(x), x)  # control
    (module(x) * torch.arange(9.0).view(3, 3)).sum().backward()
    assert float(module.w_z.grad.abs().max()) > 0


def test_affinity_is_that_of_the_input_alone():
    """The second sub-block averages with K(X), not with K(Z^1)."""
    module, x = stage("gaussian", "softmax"), features(1, 3, 2, 3)
    rows, K, W = x.flatten(2).mT, module.affinity(x), module.weight_matrices()
    first = rows + (K @ rows - rows) @ W[0].mT
    assert_close(module(x).flatten(2).mT.detach(), (first + (K @ first - first) @ W[1].mT).detach(), "reduction", n=64)
    again = module.affinity(first.mT.reshape(x.shape))
    with pytest.raises(AssertionError, match="exceeds"):  # control
        assert_close(
            module(x).flatten(2).mT.detach(), (first + (again @ first - first) @ W[1].mT).detach(), "reduction"
        )


def test_state_survives_saving_and_copying():
    module, x = stage("embedded_gaussian", "softmax"), features(2, 3, 2, 3)
    other = NonlocalStage(3, 2, inner=2).double()
    other.load_state_dict(load(save(module.state_dict())))
    assert torch.equal(other(x), module(x))
    assert torch.equal(copy.deepcopy(module)(x), module(x))
    assert sorted(module.state_dict()) == ["embedding.phi.weight", "embedding.theta.weight", "w_g", "w_z"]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"blocks": 0}, DomainError, "blocks must be at least 1"),
        ({"blocks": 2.0}, DtypeError, "blocks must be a whole number"),
        ({"form": "product"}, ChoiceError, "form must be one of 'difference', 'sum'"),
        ({"step": 0.0}, DomainError, "step must be > 0"),
        ({"tie": "symmetric"}, ChoiceError, "tie must be one of 'psd'"),
        ({"tie": "psd", "w_init": "zero"}, DomainError, "(?s)cannot start at zero.*never move"),
        ({"affinity": "cosine"}, ChoiceError, "affinity must be one of"),
        ({"affinity": "dot_product", "normalize": "softmax"}, ChoiceError, "does not exist here"),
        (
            {"normalize": "size", "algorithm": "shared"},
            ChoiceError,
            "(?s)does not compute this affinity.*'auto', 'dense'$",
        ),
        ({"dimension": 0}, DomainError, "dimension must be at least 1"),
        ({"w_init": [1.0]}, DtypeError, "standard deviation"),
    ],
)
def test_bad_arguments(changes, error, message):
    with pytest.raises(error, match=message):
        NonlocalStage(**{"channels": 4, "blocks": 2, **changes})


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (torch.zeros(2, 5, 3, 3), ShapeError, r"x must have shape \(\.\.\., 4, height, width\)"),
        (torch.zeros(0, 4, 3, 3), ShapeError, "not be empty"),
        (torch.zeros(2, 4, 3, 3).double(), DtypeError, "(?s)dtype of the weights.*float64"),
        ([[1.0]], DtypeError, "x must be a torch tensor: got list"),
    ],
)
def test_bad_inputs(x, error, message):
    for call in (NonlocalStage(4, 2), NonlocalStage(4, 2).affinity):
        with pytest.raises(error, match=message):
            call(x)


def test_bad_shape_of_a_plan():
    with pytest.raises(ShapeError, match="input_shape must be"):
        NonlocalStage(4, 2).plan((2, 3, 4, 4))
