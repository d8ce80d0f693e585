"""The network of a configuration, its weights drawn from one generator."""

from __future__ import annotations

import math

import torch
from torch import nn

from nlmodel.nn import NonlocalBlock, NonlocalStage
from paper_repro.config import RunConfig
from paper_repro.networks.placement import channels_after, places
from paper_repro.networks.preresnet import PreResNet


def build(config: RunConfig, *, classes: int, generator: torch.Generator) -> PreResNet:
    """The network of a configuration.

    The backbone is drawn first, the blocks after it: with one seed all forms start from the same backbone, which makes
    runs with and without blocks pairs.

    Parameters
    ----------
    classes : of the data set.
    generator : of all weights; He's normal law (fan-out) for convolutions, torch's uniform law for the classifier.
    """
    after = {unit: _module(config, channels_after(config, unit), count) for unit, count in places(config).items()}
    net = PreResNet(
        config.depth, config.unit, classes, stride_at=config.stride_at, shortcut=config.shortcut, after=after
    )
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", generator=generator)
    bound = 1 / math.sqrt(net.classifier.in_features)
    for parameter in net.classifier.parameters():
        nn.init.uniform_(parameter, -bound, bound, generator)
    for _, module in nonlocal_modules(net):
        module.reset_parameters(generator)
    return net


def nonlocal_modules(net: nn.Module) -> list[tuple[str, NonlocalBlock | NonlocalStage]]:
    """The nonlocal blocks and stages of a network with their names, in the order of the forward pass."""
    return [(name, m) for name, m in net.named_modules() if isinstance(m, NonlocalBlock | NonlocalStage)]


def _module(config: RunConfig, channels: int, count: int) -> nn.Module:
    options = {
        "inner": config.inner,
        "affinity": config.affinity,
        "normalize": config.normalize,
        "scale": config.scale,
        "symmetric": config.symmetric,
        "w_init": config.w_init,
    }
    if config.form == "proposed":
        return NonlocalStage(channels, count, step=config.step, **options)
    blocks = [NonlocalBlock(channels, norm=config.norm, subsample=config.subsample, **options) for _ in range(count)]
    return nn.Sequential(*blocks)
