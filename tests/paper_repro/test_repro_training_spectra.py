"""What is logged of weights, affinities and features, against the library and against loops."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nlmodel.errors import DomainError
from nlmodel.nn import NonlocalBlock, NonlocalStage, affinity_family, worst_case
from nlmodel.spectrum import low_rank_inertia
from nlmodel.stability import amplification
from nlmodel.testing import assert_close
from paper_repro.networks import build
from paper_repro.training.observe import energies, nonlocal_energy, observe, reach_of, to_line
from paper_repro.training.weights import describe, family_of, weight_records
from tests.paper_repro.training_cases import TINY


AFFINITIES = [
    {"affinity": "gaussian"},
    {"affinity": "embedded_gaussian"},
    {"affinity": "embedded_gaussian", "symmetric": True},
    {"affinity": "concatenation", "normalize": "row", "symmetric": True},
    {"affinity": "concatenation", "normalize": "row"},
]
NAMES = ["psd", "markov", "psd", "reversible", "markov"]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(seed: int = 1, size: int = 6) -> torch.Tensor:
    return torch.randn(2, 6, size, size, generator=generator(seed))


def stage(**options) -> NonlocalStage:
    return NonlocalStage(6, 2, **{"w_init": "he", "generator": generator(), **options})


def test_records_are_those_of_the_weights():
    made = stage(step=0.5).double()
    first, second = weight_records(describe("there", made))
    W = 0.5 * made.weight_matrices()[1].detach().numpy()
    symmetric = np.linalg.eigvalsh((W + W.T) / 2)
    scale = float(np.abs(symmetric).max())
    assert_close(np.sort(second["eigenvalues"]), symmetric, "reduction", n=6, scale=scale)
    assert np.all(np.diff(np.abs(second["eigenvalues"])) <= 0)
    own = np.array([complex(*z) for z in second["complex_eigenvalues"]])
    assert_close(np.sum(own).real, np.trace(W), "reduction", n=6, scale=scale)
    assert_close(
        np.array(second["positive"] + second["negative"]), np.array(np.trace(W)), "reduction", n=6, scale=scale
    )
    assert_close(np.array(second["norm"]), np.array(np.linalg.norm(W, 2)), "reduction", n=6, scale=scale)
    assert second["signed_mass"] == second["negative"] / second["positive"] < 0
    assert (first["module"], first["number"], second["number"]) == ("there", 0, 1)
    (W_Z, W_g), _ = describe("there", made).factors
    assert low_rank_inertia(W_Z, W_g).signs == (3, 3, 0)  # any bottleneck of three channels, whatever it has learned


@pytest.mark.parametrize(("options", "family"), list(zip(AFFINITIES, NAMES, strict=True)))
def test_families_and_limits_are_those_of_the_library(options, family):
    made = stage(tie="psd", w_init=0.3, **options)
    told = describe("there", made)
    assert told.family == affinity_family(made) == family and told.worst is not None
    limits = [bound.value for bound in worst_case(made, family=family)]
    assert_close(np.array(told.limits(told.worst)), np.array(limits), "reduction", n=64, scale=max(limits) * 2**30)
    assert all(limit > 0 for limit in limits)
    sum_form = describe("there", stage(form="sum", tie="psd", w_init=0.3, **options))
    assert sum_form.worst is not None and sum_form.limits(sum_form.worst) == [0.0, 0.0]  # constants grow


@pytest.mark.parametrize("options", [{"affinity": "dot_product"}, {"affinity": "concatenation", "normalize": "size"}])
def test_what_has_no_bounded_family_has_no_limit(options):
    made = stage(**options)
    with pytest.raises(DomainError):
        affinity_family(made)
    assert family_of(made) is None and [w["limit"] for w in weight_records(describe("there", made))] == [None, None]
    assert family_of(NonlocalBlock(6, subsample="after", generator=generator())) is None


def test_no_weight_has_no_limit_on_the_step():
    assert [w["limit"] for w in weight_records(describe("there", stage(w_init="zero")))] == ["inf", "inf"]


def spectrum_of(K: torch.Tensor) -> np.ndarray:
    return np.linalg.eigvals(K.double().detach().numpy())


@pytest.mark.parametrize("options", AFFINITIES)
@pytest.mark.parametrize("form", ["difference", "sum"])
def test_the_modes_of_an_image_hold_the_spectrum_of_its_affinity(options, form):
    made = stage(form=form, **options)
    told = describe("there", made)
    assert told.worst is not None
    for K in made.affinity(images()).detach():
        eigenvalues = spectrum_of(K)
        s = 1 - eigenvalues if form == "difference" else -eigenvalues
        check_held(told.modes(reach_of(told, K)).points, s, K)
        check_held(told.worst.points, s, K)
        if told.family != "markov":
            with pytest.raises(AssertionError):  # control: the modes of the other form
                check_held(told.modes(reach_of(told, K)).points, -s, K)
        assert told.growth(told.worst) >= float(np.max(amplification(np.array([0.0]), told.matrices).norms))


def check_held(points: Any, s: Any, K: torch.Tensor) -> None:
    """The points sample a segment, or the upper half of a circle around its middle; K is known to float32."""
    low, high = np.min(points.real), np.max(points.real)
    middle, radius = (low + high) / 2, (high - low) / 2
    slack = 2**10 * torch.finfo(K.dtype).eps
    assert np.all(np.abs(s - middle) <= radius + slack)
    if not np.iscomplexobj(points):
        assert np.all(np.abs(s.imag) <= slack)


def test_the_affinity_that_sees_only_itself_has_no_reach():
    told = describe("there", stage(affinity="gaussian"))
    assert reach_of(told, torch.eye(36)) == 0.0


def test_growth_is_the_norm_of_a_pass():
    made = stage(affinity="gaussian")
    told = describe("there", made)
    assert told.worst is not None
    wanted = float(np.max(amplification(told.worst.points, told.matrices).norms))
    assert_close(np.array(told.growth(told.worst)), np.array(wanted), "reduction", n=12)


def test_energies_are_the_sums_of_their_definitions():
    x = images(size=4).double()
    K = torch.softmax(torch.randn(2, 16, 16, generator=generator(), dtype=torch.float64), -1)
    Z = x.flatten(2).mT
    pairs = [(b, i, j) for b in range(2) for i in range(16) for j in range(16)]
    total = float(sum(K[b, i, j] * (Z[b, i] - Z[b, j]).square().sum() for b, i, j in pairs))
    wanted = np.array(total / 64)
    assert_close(np.array(nonlocal_energy(K, x)), wanted, "reduction", n=512, scale=total)
    wrong = nonlocal_energy(K.flip(0), x)  # control: the affinity of the other image
    with pytest.raises(AssertionError):
        assert_close(np.array(wrong), wanted, "reduction", n=512, scale=total)
    told = energies("there", x)
    steps = [(x[b, :, i + 1, j] - x[b, :, i, j]).square().sum() for b in range(2) for i in range(3) for j in range(4)]
    steps += [(x[b, :, i, j + 1] - x[b, :, i, j]).square().sum() for b in range(2) for i in range(4) for j in range(3)]
    assert_close(np.array(told["dirichlet"]), np.array(float(sum(steps)) / 24), "reduction", n=512)
    assert_close(np.array(told["mean_square"]), np.array(float(x.square().sum()) / 32), "reduction", n=512)
    constant = energies("there", torch.ones(1, 6, 4, 4))
    assert (constant["mean_square"], constant["variance"], constant["dirichlet"]) == (6.0, 0.0, 0.0)


@pytest.mark.parametrize(("form", "blocks"), [("original", 2), ("proposed", 2)])
def test_observing_leaves_no_trace_and_tells_of_every_place(form, blocks):
    config = TINY.with_(form=form, blocks=blocks, norm="batch" if form == "original" else None)
    network = build(config, classes=10, generator=generator()).train()
    before = {name: t.clone() for name, t in network.state_dict().items()}
    x = torch.randn(2, 3, 32, 32, generator=generator(2))
    record = observe(network, x, 7)
    assert network.training and not any(m._forward_hooks for m in network.modules())
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())
    assert record["epoch"] == 7 and len(record["weights"]) == 2 and record == observe(network, x, 7)
    places = [told["place"] for told in record["features"]]
    inner = ["stage2.nonlocal2.0", "stage2.nonlocal2.1"] if form == "original" else ["stage2.nonlocal2"]
    assert places == ["stage1", *(f"{name}{end}" for name in inner for end in (".in", "")), "stage2", "stage3"]
    line = to_line(record)
    assert line is not None and json.loads(line)["weights"][0]["number"] == 0
    assert all(module["energy"][0] > 0 and module["probe_growth"] >= 1 for module in record["modules"])


def test_the_scale_of_a_normalisation_is_part_of_the_weight():
    block = NonlocalBlock(6, norm="batch", w_init="he", generator=generator()).eval()
    assert isinstance(block.norm, nn.BatchNorm1d)
    with torch.no_grad():
        block.norm.weight.fill_(3.0)
        block.norm.running_var.fill_(4.0)  # pyright: ignore
    ((W_Z, _),) = describe("there", block).factors
    wanted = 3 / np.sqrt(4 + block.norm.eps) * block.w_z.weight.detach().double().numpy()
    assert_close(W_Z, wanted, "elementwise")


def test_features_that_are_not_finite_are_told_and_not_logged():
    network = build(TINY.with_(form="proposed", blocks=1), classes=10, generator=generator())
    with torch.no_grad():
        network.stem.weight.fill_(torch.inf)  # pyright: ignore
    record = observe(network, torch.ones(2, 3, 32, 32), 1)
    assert record["modules"][0]["reach"] is None and to_line(record) is None
