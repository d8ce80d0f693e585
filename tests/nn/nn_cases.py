"""Blocks and stages to test: every affinity, normalisation and algorithm, in float64 with reproducible weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nlmodel.nn import NonlocalBlock, NonlocalStage
from nlmodel.nn.choices import exact_algorithms


NORMALIZATIONS = {
    "gaussian": ("softmax", "row", "size", "symmetric", "none"),
    "embedded_gaussian": ("softmax", "row", "size", "symmetric", "none"),
    "dot_product": ("row", "size", "none"),
    "concatenation": ("row", "size", "symmetric", "none"),
}
BLOCKS = [
    (affinity, how, algorithm)
    for affinity, ways in NORMALIZATIONS.items()
    for how in ways
    for algorithm in exact_algorithms(affinity, how)
]
STAGES = [
    (affinity, how, algorithm)
    for affinity, ways in NORMALIZATIONS.items()
    for how in ways
    for algorithm in exact_algorithms(affinity, how, stage=True)
]


def fast(cases: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Those that restate the definition."""
    return [case for case in cases if case[2] != "dense"]


def seeded(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def features(*shape: int, seed: int = 7) -> Tensor:
    """Positive, so that row sums of scalar products stay away from zero."""
    return torch.rand(*shape, dtype=torch.float64, generator=seeded(seed)) + 0.1


def settled(module: nn.Module, seed: int = 9) -> nn.Module:
    """Positive weights of order one half, but for w and W_Z, which are of either sign."""
    module.double()
    with torch.no_grad():
        for name, p in module.named_parameters():
            p.copy_(torch.rand(p.shape, dtype=p.dtype, generator=seeded(seed + len(name))) * 0.5 + 0.1)
            if name.endswith(("w_z", "w_z.weight")):
                p.sub_(0.35)
            if name == "embedding.w":
                p.copy_(torch.tensor([[1.0], [-0.5]], dtype=p.dtype)[: p.shape[0]] * p)
    return module


def block(affinity: str, how: str, algorithm: str = "auto", channels: int = 3, inner: int = 2, **more) -> NonlocalBlock:
    made = NonlocalBlock(channels, inner, affinity=affinity, normalize=how, algorithm=algorithm, **more)
    return settled(made)  # pyright: ignore[reportReturnType]


def stage(affinity: str, how: str, algorithm: str = "auto", channels: int = 3, inner: int = 2, **more) -> NonlocalStage:
    made = NonlocalStage(channels, 2, inner=inner, affinity=affinity, normalize=how, algorithm=algorithm, **more)
    return settled(made)  # pyright: ignore[reportReturnType]


def value_and_gradients(module: nn.Module, x: Tensor) -> list[Tensor]:
    """Output, and gradients of a fixed functional of it for the input and every parameter."""
    x = x.clone().requires_grad_()
    out = module(x)
    functional = (out * torch.cos(torch.arange(out.numel(), dtype=out.dtype)).view_as(out)).sum()
    found = torch.autograd.grad(functional, [x, *module.parameters()], allow_unused=True, materialize_grads=True)
    return [out.detach(), *found]


def function_of_all(module: nn.Module):
    """(x, *parameters) -> output, for gradcheck."""
    names = [name for name, _ in module.named_parameters()]

    def call(x: Tensor, *values: Tensor) -> Tensor:
        return torch.func.functional_call(module, dict(zip(names, values, strict=True)), (x,))

    return call


def all_inputs(module: nn.Module, x: Tensor) -> tuple[Tensor, ...]:
    return tuple(t.detach().clone().requires_grad_() for t in (x, *module.parameters()))
