"""Recorded graphs: torch.compile without a break, torch.export with any batch, and what TorchScript cannot do."""

import copy
import warnings

import pytest
import torch
from safetensors.torch import load, save
from torch.library import opcheck

from nlmodel.nn import MultiheadNonlocalBlock, NonlocalBlock, NonlocalStage, certified
from nlmodel.nn.shared import softmax_stage
from nlmodel.nn.symmetric import symmetric_average
from nlmodel.testing import assert_close
from tests.nn.nn_cases import features, seeded, value_and_gradients


def original(**more):
    return lambda: NonlocalBlock(4, 2, w_init="he", generator=seeded(), **more)


def shared(**more):
    return lambda: NonlocalStage(4, 2, inner=2, w_init=0.5, generator=seeded(), **more)


MODULES = {
    "fused": original(),
    "dense": original(algorithm="dense"),
    "symmetric": original(affinity="gaussian", bias=True),
    "of the symmetric form": original(normalize="symmetric"),
    "moments": original(affinity="dot_product", bias=True),
    "associative": original(affinity="dot_product", normalize="row"),
    "sorted": original(affinity="concatenation", normalize="symmetric"),
    "subsampled": original(subsample="after", norm="batch"),
    "stage": shared(),
    "gaussian stage": shared(affinity="gaussian", form="sum"),
    "stage of full rank": lambda: NonlocalStage(2, 2, inner=3, w_init=0.5, bias=True, generator=seeded()),
    "dense stage": shared(affinity="dot_product", normalize="row", algorithm="dense"),
    "certified": lambda: certified(shared(tie="psd", symmetric=True)(), "contraction"),
    "heads": lambda: MultiheadNonlocalBlock(4, 4, heads=2, w_init="he", generator=seeded()),
}
PARTED = {
    "block in parts": original(algorithm="dense", memory_budget=10_000),
    "stage in parts": shared(memory_budget=10_000),
}


def positive(module: torch.nn.Module) -> torch.nn.Module:
    """Features of one sign, so that row sums stay away from zero."""
    with torch.no_grad():
        for name, p in module.named_parameters():
            if name.startswith("embedding.") and name != "embedding.w":
                p.abs_()
    return module


def inputs(module: torch.nn.Module, batch: int = 3) -> torch.Tensor:
    return features(batch, getattr(module, "channels", 4), 2, 3).float()


def check_compiled(make, backend: str) -> None:
    torch._dynamo.reset()
    module = positive(make())
    twin, x = copy.deepcopy(module), inputs(module)
    found = value_and_gradients(torch.compile(twin, fullgraph=True, backend=backend), x)
    for ours, theirs in zip(found, value_and_gradients(module, x), strict=True):
        assert_close(ours, theirs, "reduction", n=256, scale=1.0 + float(theirs.abs().max()))


@pytest.mark.parametrize("name", {**MODULES, **PARTED})
def test_compiled_modules_equal_the_eager_ones_in_value_and_gradient(name):
    check_compiled({**MODULES, **PARTED}[name], "aot_eager")  # warnings are errors here


@pytest.mark.slow
@pytest.mark.parametrize("name", ["symmetric", "stage"])
def test_the_default_compiler_too(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the compiler's own use of TorchScript
        check_compiled(MODULES[name], "inductor")


def test_a_compiled_graph_serves_its_own_weights():
    torch._dynamo.reset()
    module = MODULES["stage"]()
    compiled, x = torch.compile(module, fullgraph=True, backend="aot_eager"), inputs(module)
    before = compiled(x).detach().clone()
    with torch.no_grad():
        module.w_z.mul_(2.0)
    assert_close(compiled(x).detach(), module(x).detach(), "reduction", n=64)
    assert not torch.equal(compiled(x), before)  # control


@pytest.mark.parametrize("name", MODULES)
def test_an_exported_module_takes_batches_of_any_size(name):
    module = positive(MODULES[name]()).eval()
    program = torch.export.export(module, (inputs(module),), dynamic_shapes=({0: torch.export.Dim("batch")},))
    for batch in (2, 7):
        x = inputs(module, batch)
        assert_close(program.module()(x).detach(), module(x).detach(), "reduction", n=64)
    with pytest.raises(AssertionError, match="exceeds"):  # control
        assert_close(program.module()(x).detach(), module(1.5 * x).detach(), "reduction", n=64)


@pytest.mark.parametrize("name", PARTED)
def test_a_budget_fixes_the_batch_of_an_exported_module(name):
    module = PARTED[name]()
    x = inputs(module)
    assert_close(torch.export.export(module, (x,)).module()(x).detach(), module(x).detach(), "reduction", n=64)
    with pytest.raises(torch._dynamo.exc.UserError, match="batch"):
        torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))


def test_torch_script_is_refused_by_torch():
    for name in ("fused", "stage", "heads"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch calls its own TorchScript deprecated
            with pytest.raises((RuntimeError, ValueError)):
                torch.jit.script(MODULES[name]())


def draws(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=seeded(len(shape))).requires_grad_()


def test_the_operators_keep_the_rules_of_torch():
    found = opcheck(symmetric_average, (draws(2, 4, 5), draws(3, 4), 0.5))
    assert set(found.values()) == {"SUCCESS"}
    x, w_g, w_z = draws(2, 4, 5), draws(2, 3, 4), draws(2, 4, 3)
    for keep in (True, False):
        tests = ("test_schema", "test_faketensor") + ("test_autograd_registration", "test_aot_dispatch_dynamic") * keep
        opcheck(softmax_stage, (x, draws(6, 4), draws(6), w_g, w_z, 2, 0.5, 0.7, True, keep), test_utils=tests)
        opcheck(softmax_stage, (x, None, None, None, draws(2, 4, 4), 1, 1.0, 0.7, False, keep), test_utils=tests)


@pytest.mark.parametrize("name", MODULES)
def test_every_module_survives_copies_and_files(name):
    module = positive(MODULES[name]()).eval()
    x, other = inputs(module), MODULES[name]().eval()
    assert torch.equal(copy.deepcopy(module)(x), module(x))
    with torch.no_grad():
        for p in other.parameters():
            p.fill_(0.3)
    assert not torch.equal(other(x), module(x))  # control
    other.load_state_dict(load(save({key: value.contiguous() for key, value in module.state_dict().items()})))
    assert torch.equal(other(x), module(x))


@pytest.mark.parametrize("name", MODULES)
def test_the_memory_format_of_the_input_is_kept(name):
    module = positive(MODULES[name]()).eval()
    x = inputs(module)
    last = module(x.to(memory_format=torch.channels_last))
    assert_close(last.detach(), module(x).detach(), "reduction", n=64)
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert module(x).is_contiguous() and not module(x).is_contiguous(memory_format=torch.channels_last)  # control
