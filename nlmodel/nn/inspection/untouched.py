"""A network in evaluation for a while, that is afterwards what it was before."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn


SWITCHES: dict[str, Any] = {"_attn_implementation": "eager", "output_attentions": True}
"""What a configuration in the style of Hugging Face is asked for: a kernel that forms probabilities, and these."""


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Evaluation without gradients, uncompiled, with attention that shows its probabilities where it can.

    Training flags, attributes, hooks, buffers, configurations, the choice of kernels and the state of random generators
    are as before afterwards, whatever happens; parameters and gradients are not touched.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(_devices(model)))
        for kept in (_attributes(model), _flags(model), _configurations(model), _fast_path()):
            stack.enter_context(kept)
        if "torch._dynamo" in sys.modules:  # compiled parts pass hooks by
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(torch.no_grad())
        yield


@contextmanager
def _flags(model: nn.Module) -> Iterator[None]:
    """Flags alone: an `eval` of its own may do more, such as merging weights."""
    flags = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in flags:
            module.training = False
        yield
    finally:
        for module, flag in flags:
            module.training = flag


@contextmanager
def _attributes(model: nn.Module) -> Iterator[None]:
    """Caches, counters and hooks that a network sets in evaluation too."""
    owned = [vars(module) for module in model.modules() if not isinstance(module, torch.jit.ScriptModule)]
    owned += [value for attributes in owned for value in attributes.values() if type(value) in (dict, OrderedDict)]
    kept = [(attributes, dict(attributes)) for attributes in owned]
    tensors = [*model.buffers(), *(t for attributes in owned for t in attributes.values() if type(t) is Tensor)]
    values = [(t, t.detach().clone()) for t in tensors]
    try:
        yield
    finally:
        for attributes, before in kept:
            attributes.clear()
            attributes.update(before)
        for t, before in values:
            if not torch.equal(t, before):
                t.detach().copy_(before)


@contextmanager
def _configurations(model: nn.Module) -> Iterator[None]:
    kept = [(config, dict(vars(config))) for config in _configs(model)]
    try:
        for config, _ in kept:
            for name, value in SWITCHES.items():  # the kernel first: some refuse to return what theirs does not form
                if hasattr(config, name):
                    setattr(config, name, value)
        yield
    finally:
        for config, values in kept:
            vars(config).clear()
            vars(config).update(values)


def _configs(model: nn.Module) -> list[Any]:
    """Each configuration once, and those inside others."""
    found: dict[int, Any] = {}
    left = [getattr(module, "config", None) for module in model.modules()]
    while left:
        config = left.pop()
        if hasattr(config, "output_attentions") and hasattr(config, "__dict__") and id(config) not in found:
            found[id(config)] = config
            left += vars(config).values()
    return list(found.values())


@contextmanager
def _fast_path() -> Iterator[None]:
    """No fused encoder layer of torch, which passes its attention module by."""
    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _devices(model: nn.Module) -> list[torch.device]:
    return sorted({p.device for p in model.parameters() if p.device.type == "cuda"}, key=str)
