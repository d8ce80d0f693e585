"""NonLocal2d of mmcv."""

from __future__ import annotations

from typing import Any

from torch import nn

from benchmarks.peers.installed import require
from benchmarks.peers.layout import layer_shapes, parameters


PLACES = {"theta": "theta.conv", "phi": "phi.conv", "g": "g.conv", "w_z": "conv_out.conv"}
PROJECTION = "concat_project.conv.weight"


def shapes(channels: int, inner: int, mode: str) -> dict[str, tuple[int, ...]]:
    """The state dict of a block, without mmcv."""
    projection = {PROJECTION: (1, 2 * inner, 1, 1)} if mode == "concatenation" else {}
    return layer_shapes(_places(mode), channels, inner) | projection


def compared(mode: str) -> list[str]:
    """The parameters, in the order of ours."""
    return parameters(_places(mode)) + ([PROJECTION] if mode == "concatenation" else [])


def nonlocal2d(channels: int, inner: int, mode: str) -> nn.Module:
    """The block in one of its four modes.

    Its concatenation divides in place what its ReLU keeps for the gradient, which torch refuses: for a gradient, and
    only then, it gets a copy of the M x M matrix to divide.
    """
    bricks: Any = require("mmcv.cnn.bricks")
    block = bricks.NonLocal2d(channels, reduction=channels // inner, mode=mode)
    if mode == "concatenation":
        block.concat_project.register_forward_hook(lambda layer, given, out: out.clone() if out.requires_grad else out)
    return block


def _places(mode: str) -> dict[str, str]:
    return {name: place for name, place in PLACES.items() if mode != "gaussian" or name in ("g", "w_z")}
