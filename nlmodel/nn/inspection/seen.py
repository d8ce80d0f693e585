"""One forward pass, watched: what went into and came out of modules, while the network stays what it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn


SWITCHES: dict[str, Any] = {"output_attentions": True, "_attn_implementation": "eager"}
"""What a configuration in the style of Hugging Face is asked for: probabilities, and the kernel that forms them."""


@dataclass
class Seen:
    """The first call of a module: its inputs and output, and the attention probabilities found in or below it."""

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    output: Any = None
    calls: int = 0
    probabilities: list[Tensor] = field(default_factory=list)


def watch(model: nn.Module, inputs: tuple[Any, ...], names: Iterable[str]) -> dict[str, Seen]:
    """Run the network once in evaluation, without gradients, and report of the modules of these names.

    Hooks, training flags, the choice of attention kernels and the state of random generators are as before
    afterwards, whatever happens; parameters, buffers and gradients are not touched.
    """
    found = {name: Seen() for name in names}
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(_devices(model)))
        stack.enter_context(_evaluating(model))
        stack.enter_context(_plain_attention(model))
        for name, seen in found.items():
            module = model.get_submodule(name)
            hooks = [part.register_forward_hook(_finder(seen)) for part in module.modules()]
            hooks.append(module.register_forward_pre_hook(_taker(seen), with_kwargs=True))
            hooks.append(module.register_forward_hook(_giver(seen)))  # counts the call, after the finders have looked
            for hook in hooks:
                stack.callback(hook.remove)
        with torch.no_grad():
            model(*inputs)
    return found


def _taker(seen: Seen):
    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if seen.calls == 0:
            seen.args, seen.kwargs = _copied(args), _copied(kwargs)

    return hook


def _giver(seen: Seen):
    def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if seen.calls == 0:
            seen.output = _copied(output)
        seen.calls += 1

    return hook


def _finder(seen: Seen):
    def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if seen.calls == 0:
            parts = output if isinstance(output, tuple | list) else (output,)
            new = [p for p in parts if isinstance(p, Tensor) and is_attention(p)]
            seen.probabilities += [p.detach().clone() for p in new if not seen.probabilities]

    return hook


def is_attention(x: Tensor) -> bool:
    """Whether x (B, heads, M, M) holds laws: nothing negative, rows that sum to one to the precision of x."""
    if x.ndim != 4 or x.shape[-1] != x.shape[-2] or x.shape[-1] < 2 or not x.is_floating_point():
        return False
    slack = 4 * x.shape[-1] * torch.finfo(x.dtype).eps
    return bool((x >= 0).all()) and bool(((x.double().sum(-1) - 1).abs() <= slack).all())


def _copied(x: Any) -> Any:
    if isinstance(x, Tensor):
        return x.detach().clone()
    if isinstance(x, tuple | list):
        return type(x)(map(_copied, x)) if not hasattr(x, "_fields") else x
    return {key: _copied(value) for key, value in x.items()} if type(x) is dict else x


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    flags = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, flag in flags:
            module.training = flag


@contextmanager
def _plain_attention(model: nn.Module) -> Iterator[None]:
    """No fused attention that passes modules by, and probabilities returned where a configuration can ask for them."""
    fast = torch.backends.mha.get_fastpath_enabled()
    configs = {
        id(c): c for c in (getattr(m, "config", None) for m in model.modules()) if hasattr(c, "output_attentions")
    }
    kept = [(c, name, getattr(c, name)) for c in configs.values() for name in SWITCHES if hasattr(c, name)]
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        for config, name, _ in reversed(kept):  # the kernel first: some refuse to return what theirs does not form
            setattr(config, name, SWITCHES[name])
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for config, name, value in kept:
            setattr(config, name, value)


def _devices(model: nn.Module) -> list[torch.device]:
    return sorted({p.device for p in model.parameters() if p.device.type == "cuda"}, key=str)
