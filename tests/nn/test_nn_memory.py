"""Memory: what a plan promises against what is allocated, and batches in parts that keep within a budget."""

import copy

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from nlmodel.errors import DomainError, DtypeError
from nlmodel.nn import NonlocalBlock, NonlocalStage
from nlmodel.nn.chunks import in_chunks
from nlmodel.testing import assert_close
from tests.nn.nn_cases import all_inputs, block, features, function_of_all, stage, value_and_gradients


def allocated(function) -> int:
    """Bytes that a call holds at most, inside of operators too."""
    function()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        function()
    events = [e for e in record.profiler.kineto_results.events() if e.name() == "[memory]"]
    now = most = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return most


def held(module, x) -> int:
    """What a forward and backward pass allocates beside output, gradient of it and gradient of the input."""
    x = x.clone().requires_grad_()

    def train() -> None:
        out = module(x)
        torch.autograd.grad(out, [x, *module.parameters()], torch.ones_like(out), allow_unused=True)

    return allocated(train) - 3 * x.numel() * x.element_size()


def image(batch: int, channels: int, side: int) -> torch.Tensor:
    return torch.randn(batch, channels, side, side, generator=torch.Generator().manual_seed(0))


MODULES = {
    "fused": lambda **more: NonlocalBlock(32, 16, w_init="he", **more),
    "symmetric": lambda **more: NonlocalBlock(32, 16, affinity="gaussian", w_init="he", **more),
    "moments": lambda **more: NonlocalBlock(32, 16, affinity="dot_product", w_init="he", **more),
    "sorted": lambda **more: NonlocalBlock(32, 16, affinity="concatenation", w_init="he", **more),
    "dense": lambda **more: NonlocalBlock(32, 16, normalize="symmetric", w_init="he", **more),
    "shared": lambda **more: NonlocalStage(32, 3, w_init=0.02, **more),
    "dense stage": lambda **more: NonlocalStage(32, 3, w_init=0.02, algorithm="dense", **more),
}


@pytest.mark.parametrize(("batch", "side"), [(8, 16), (3, 32)])
@pytest.mark.parametrize("name", MODULES)
def test_the_peak_of_a_plan_is_what_is_allocated(name, batch, side):
    module, x = MODULES[name](), image(batch, 32, side)
    plan, found = module.plan(x.shape), held(module, x)
    assert plan.algorithm == name.split()[0] and plan.images == batch
    assert found <= plan.peak <= 2 * found
    assert held(module, image(4 * batch, 32, side)) > plan.peak  # control


@pytest.mark.parametrize("name", ["symmetric", "shared"])
def test_affinities_of_a_batch_never_stand_together(name):
    module, x = MODULES[name](), image(8, 32, 32)
    one = 32 * 32 * 32 * 32 * 4
    assert held(module, x) < 4 * one
    assert held(MODULES["dense"](), x) > 8 * one  # control


def test_without_gradients_a_stage_keeps_no_averages():
    module, x = MODULES["shared"](), image(8, 32, 16)
    averages = 3 * 8 * 256 * 16 * 4

    def forward() -> None:
        module(x)

    with_gradients = allocated(forward)
    with torch.no_grad():
        assert with_gradients - allocated(forward) >= averages


@pytest.mark.parametrize("name", MODULES)
def test_a_budget_is_kept(name):
    x = image(6, 32, 24)
    least = MODULES[name]().plan((1, 32, 24, 24)).peak
    budget = max(int(2.2 * least), int(1.2 * x.numel() * x.element_size()))
    module = MODULES[name](memory_budget=budget)
    plan = module.plan(x.shape)
    assert plan.images < 6 and plan.peak <= budget
    assert f"{plan.images} of 6 images at a time hold {plan.peak} of the {budget} bytes" in plan.reason
    assert held(module, x) <= budget
    free = MODULES[name]()
    assert free.plan(x.shape).images == 6 and free.plan(x.shape).peak > budget
    if "dense" in name:  # control: the budget is what bounds it
        assert held(free, x) > budget


CASES = [(block, "embedded_gaussian", "softmax", a) for a in ("dense", "fused")]
CASES += [(block, "gaussian", "softmax", "symmetric"), (block, "gaussian", "symmetric", "dense")]
CASES += [(block, "dot_product", "size", a) for a in ("dense", "associative", "moments")]
CASES += [(block, "concatenation", "row", "sorted")]
CASES += [(stage, "embedded_gaussian", "softmax", a) for a in ("dense", "fused", "shared")]
CASES += [(stage, "dot_product", "row", "associative")]


def in_parts(make, *case, batch: int = 5, **more):
    """The module, and its twin that takes two images at a time."""
    free = make(*case, **more)
    budget = max(free.plan((2, 3, 4, 5)).peak, 2 * batch * 3 * 20 * 8)
    return free, make(*case, memory_budget=budget, **more)


@pytest.mark.parametrize(("make", "affinity", "how", "algorithm"), CASES)
def test_parts_give_the_result_of_the_whole(make, affinity, how, algorithm):
    x = features(5, 3, 4, 5)
    free, parted = in_parts(make, affinity, how, algorithm)
    assert parted.plan(x.shape).images < 5
    for ours, theirs in zip(value_and_gradients(parted, x), value_and_gradients(free, x), strict=True):
        assert_close(ours, theirs, "reduction", n=64, scale=1.0 + float(theirs.abs().max()))
    with torch.no_grad():
        assert_close(parted(x), free(x), "reduction", n=64)
    with torch.inference_mode():
        assert_close(parted(x).clone(), free(x).clone(), "reduction", n=64)
    with pytest.raises(AssertionError, match="exceeds"):  # control: an image in the wrong place
        assert_close(parted(x).detach(), free(x.flip(0)).detach(), "reduction", n=64)


@pytest.mark.parametrize("algorithm", ["dense", "fused"])
def test_derivatives_in_parts(algorithm):
    module, x = block("embedded_gaussian", "softmax", algorithm, memory_budget=800), features(3, 3, 1, 2)
    assert module.plan(x.shape).images < 3
    inputs = all_inputs(module, x)
    assert torch.autograd.gradcheck(function_of_all(module), inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(function_of_all(module), inputs, fast_mode=True)


def test_batch_normalisation_sees_the_whole_batch():
    free, parted = in_parts(block, "embedded_gaussian", "softmax", "dense", norm="batch")
    x = features(5, 3, 4, 5)
    assert_close(parted(x).detach(), free(x).detach(), "reduction", n=256)
    assert parted.norm.num_batches_tracked == free.norm.num_batches_tracked == 1
    for name in ("running_mean", "running_var"):
        ours, theirs = getattr(parted.norm, name), getattr(free.norm, name)
        assert_close(ours, theirs, "reduction", n=256)
    halves = torch.cat([copy.deepcopy(free)(part) for part in x.split(2)])  # control
    with pytest.raises(AssertionError, match="exceeds"):
        assert_close(halves.detach(), free(x).detach(), "reduction", n=256)


def test_a_recomputed_part_uses_the_weights_of_its_first_time():
    """Weights swapped in for one call, and gone when its backward pass comes."""
    free, parted = in_parts(block, "embedded_gaussian", "softmax", "dense")
    x, other = features(5, 3, 4, 5), 2.0 * free.g.weight.detach()
    found = []
    for module in (free, parted):
        weight = other.clone().requires_grad_()
        out = torch.func.functional_call(module, {"g.weight": weight}, (x,))
        found.append(torch.autograd.grad(out.sin().sum(), weight)[0])
    assert_close(found[1], found[0], "reduction", n=256)


def test_autocast_in_parts():
    free, parted = (module.float() for module in in_parts(block, "embedded_gaussian", "softmax", "dense"))
    free.memory_budget, x = None, features(5, 3, 4, 5).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected, found = value_and_gradients(free, x), value_and_gradients(parted, x)
    for ours, theirs in zip(found, expected, strict=True):
        assert_close(ours, theirs, "reduction", n=2**10, scale=1.0 + float(theirs.abs().max()))


def test_parts_of_any_size():
    rows = features(5, 4, 3)
    for images in (None, 1, 2, 4, 5, 9):
        seen = []

        def twice(part, seen=seen):
            seen.append(part.shape[0])
            return 2 * part.mT

        assert_close(in_chunks(twice, rows, images), 2 * rows.mT, "exact")
        assert sum(seen) == 5 and max(seen) == min(images or 5, 5)


@pytest.mark.parametrize("make", [NonlocalBlock, lambda channels, **more: NonlocalStage(channels, 2, **more)])
def test_refusals(make):
    for budget, error, message in (
        (0, DomainError, "memory_budget must be at least 1"),
        (-5, DomainError, "memory_budget must be at least 1"),
        (1e9, DtypeError, "memory_budget must be a whole number"),
        (True, DtypeError, "memory_budget must be a whole number"),
    ):
        with pytest.raises(error, match=message):
            make(4, memory_budget=budget)
    module = make(4, memory_budget=1000)
    for call in (lambda: module.plan((3, 4, 8, 8)), lambda: module(torch.zeros(3, 4, 8, 8))):
        with pytest.raises(DomainError, match=r"(?s)too small for one image.*got 1000 bytes, where \d+ are needed"):
            call()
    with pytest.raises(DomainError) as caught:
        module.plan((3, 4, 8, 8))
    needed = int(caught.value.got.split("where ")[1].split()[0])
    assert make(4, memory_budget=needed).plan((3, 4, 8, 8)).images >= 1
    with pytest.raises(DomainError, match="too small"):
        make(4, memory_budget=needed - 1).plan((3, 4, 8, 8))
