"""Modules as contestants: their calls, and the values that must agree."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from benchmarks.case import BOTH, FORWARD, TRAINING, Built, Setting


def data(setting: Setting, *shape: int, seed: int = 1) -> Tensor:
    """Normal numbers of standard deviation one half, the same ones in either precision and on any device."""
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) / 2
    return drawn.to(setting.device, getattr(torch, setting.precision))


def drawn(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Weights of a state dict, each drawn from its own name, in float64.

    Matrices keep the size of the features, biases and means are small, scales and variances about one half.
    """
    found = {}
    for name, shape in shapes.items():
        generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
        normal = torch.randn(shape, generator=generator, dtype=torch.float64)
        if len(shape) > 1:
            found[name] = normal * math.prod(shape[1:]) ** -0.5
        else:
            found[name] = normal / 10 if name.endswith(("bias", "mean")) else 0.5 + normal.clamp(-3, 3) / 10
    return found


def ready(module: nn.Module, setting: Setting, weights: Mapping[str, Tensor] | None = None) -> nn.Module:
    """The module in the precision and on the device of the setting, with these weights when they are given."""
    module.to(setting.device, getattr(torch, setting.precision)).train()
    if weights is not None:
        module.load_state_dict(weights, strict=False)  # a norm layer also counts its batches
    return module


def built(
    module: nn.Module, x: Tensor, compared: Sequence[str] = (), step: Callable[[Tensor], Tensor] | None = None
) -> Built:
    """A module with its input.

    Parameters
    ----------
    module : as it is drawn.
    x : its input.
    compared : names of the parameters whose gradients are compared, in an order that all contestants share.
    step : what is called, when it is not the module itself: its compiled form.
    """
    call = module if step is None else step
    x = x.clone().requires_grad_()
    weights = list(module.parameters())
    g = data(Setting(x.device.type, str(x.dtype).removeprefix("torch.")), *x.shape, seed=3)

    def forward() -> Tensor:
        with torch.no_grad():
            return call(x)

    def both() -> tuple[Tensor, ...]:
        return torch.autograd.grad(call(x), [x, *weights], g, allow_unused=True)

    def training() -> None:
        loss = (call(x) - g).square().mean()
        for p, d in zip(weights, torch.autograd.grad(loss, weights, allow_unused=True), strict=True):
            if d is not None:
                p.data.add_(d, alpha=-0.1)

    def values() -> dict[str, Tensor]:
        named = dict(module.named_parameters())
        out = call(x)
        over_input, *over_weights = torch.autograd.grad(out, [x, *(named[place] for place in compared)], g)
        found = {"output": out.detach(), "gradient of the input": over_input}
        # one vector: some of its parts vanish in exact arithmetic, such as that of the bias of phi under a softmax
        return (
            found | {"gradient of the weights": torch.cat([d.flatten() for d in over_weights])} if compared else found
        )

    return Built({FORWARD: forward, BOTH: both, TRAINING: training}, values)
