"""Nonlocal blocks into a network that exists already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nlmodel._arrays import check_count
from nlmodel.errors import ChoiceError, DomainError, DtypeError
from nlmodel.nn.block import NonlocalBlock
from nlmodel.nn.stage import NonlocalStage


INSERTED = "nonlocal_block"


def insert_nonlocal(
    model: nn.Module,
    *,
    after: str | Sequence[str],
    blocks: int | None = None,
    channels: int | None = None,
    dimension: int | None = None,
    **options: Any,
) -> nn.Module:
    """Let the output of a module of a network pass through a nonlocal block, in place.

        insert_nonlocal(resnet50(), after="layer3.4")            # one block, the identity until it is trained
        insert_nonlocal(resnet50(), after="layer1.1", blocks=4)  # a stage of four sub-blocks

    The block becomes the submodule "nonlocal_block" of the module it follows: every other parameter keeps its name, so
    that weights of the network without blocks load with strict=False, and every index its meaning.

    Parameters
    ----------
    model : any network whose module `after` returns one (B, C, *positions) tensor: ResNets of torchvision and timm,
        and others.
    after : the name of a module, as in `model.named_modules()`, or several.
    blocks : None for a `NonlocalBlock`, or N sub-blocks of a `NonlocalStage`.
    channels, dimension : None finds them from the last convolution or normalisation inside `after`.
    options : of the block or the stage; its weights are zero at the start unless w_init says otherwise.

    Returns  `model`, the blocks in the dtype, on the device and in the mode (training or not) of what they follow.
    Raises   ChoiceError: no such module; DomainError: C cannot be told, or a block is there already; what the
             constructors raise.  Then nothing was inserted.
    """
    if not isinstance(model, nn.Module):
        raise DtypeError("model must be a torch.nn.Module", got=type(model).__name__)
    names = list(after) if isinstance(after, Sequence) and not isinstance(after, str) else [after]
    if not all(isinstance(name, str) for name in names):
        raise DtypeError("after must be names of modules", got=names)
    if not names or len(set(names)) < len(names):
        raise DomainError("after must name at least one module, each once", got=names)
    places = [_place(model, name) for name in names]
    made = [_made(*place, blocks, channels, dimension, options) for place in zip(names, places, strict=True)]
    for place, block in zip(places, made, strict=True):
        place.add_module(INSERTED, block)
        place.register_forward_hook(_pass_on)
    return model


def _pass_on(module: nn.Module, _: Any, output: Tensor) -> Tensor:
    """The forward hook: found by name, so that copies of the network use their own blocks."""
    return module.get_submodule(INSERTED)(output)


def _place(model: nn.Module, name: str) -> nn.Module:
    modules = dict(model.named_modules())
    if name not in modules or not name:
        parent = name.rpartition(".")[0]
        while parent not in modules:
            parent = parent.rpartition(".")[0]
        beside = ", ".join(repr(f"{parent}.{child}".lstrip(".")) for child, _ in modules[parent].named_children())
        raise ChoiceError(
            "after must be the name of a module of the network",
            got=repr(name),
            fix=f"choose among model.named_modules(), such as {beside}" if beside else None,
        )
    if hasattr(modules[name], INSERTED):
        raise DomainError(
            "a module is followed by one nonlocal block or stage",
            got=f"{name!r}, which has one already",
            fix=f"for several use blocks=, or after={name + '.' + INSERTED!r}",
        )
    return modules[name]


def _made(
    name: str,
    place: nn.Module,
    blocks: int | None,
    channels: int | None,
    dimension: int | None,
    options: dict[str, Any],
) -> nn.Module:
    sizes = _sizes(place)
    if channels is None and sizes is None:
        raise DomainError(
            f"the number of channels after {name!r} cannot be told",
            got=f"{type(place).__name__} without convolution or normalisation",
            fix="pass channels= and dimension=",
        )
    found = sizes or (None, None)
    size = {
        "channels": found[0] if channels is None else check_count(channels, "channels", at_least=1),
        "dimension": (found[1] or 2) if dimension is None else dimension,
    }
    block = NonlocalBlock(**size, **options) if blocks is None else NonlocalStage(blocks=blocks, **size, **options)
    like = next((p for p in place.parameters() if p.is_floating_point()), torch.empty(0))
    return block.to(like.device, like.dtype).train(place.training)


def _sizes(place: nn.Module) -> tuple[int, int | None] | None:
    """Channels, and the dimension where it is known, of the output, by the last layer that fixes them."""
    for layer in reversed(list(place.modules())):
        if isinstance(layer, nn.modules.conv._ConvNd):
            return layer.out_channels, len(layer.kernel_size)
        if isinstance(layer, NonlocalBlock | NonlocalStage):
            return layer.channels, layer.dimension
        channels = getattr(layer, "num_features", None)
        if isinstance(channels, int) and not any(layer.children()):
            return channels, {nn.BatchNorm2d: 2, nn.BatchNorm3d: 3}.get(type(layer))
    return None
