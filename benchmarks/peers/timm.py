"""NonLocalAttn of timm."""

from __future__ import annotations

from typing import Any

from torch import nn

from benchmarks.peers.installed import require
from benchmarks.peers.layout import layer_shapes, parameters


PLACES = {"theta": "t", "phi": "p", "g": "g", "w_z": "z"}
NORM = "norm"


def shapes(channels: int, inner: int) -> dict[str, tuple[int, ...]]:
    """The state dict of a block, without timm."""
    norm = {f"{NORM}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}
    return layer_shapes(PLACES, channels, inner) | norm


def compared() -> list[str]:
    """The parameters, in the order of ours."""
    return parameters(PLACES | {"norm": NORM})


def nonlocal_attention(channels: int, inner: int) -> nn.Module:
    """The block, with its batch norm."""
    layers: Any = require("timm.layers")
    return layers.NonLocalAttn(channels, rd_channels=inner)
