"""NONLocalBlock2D of AlexHex7's Non-local_pytorch, which is on no package index: from a checkout of one's own."""

from __future__ import annotations

import os
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from torch import nn

from benchmarks.peers.installed import MissingPeer
from benchmarks.peers.layout import layer_shapes, parameters


VARIABLE = "ALEXHEX7"
PLACES = {"theta": "theta", "phi": "phi", "g": "g", "w_z": "W"}


def shapes(channels: int, inner: int) -> dict[str, tuple[int, ...]]:
    """The state dict of a block without norm layer."""
    return layer_shapes(PLACES, channels, inner)


def compared() -> list[str]:
    """The parameters, in the order of ours."""
    return parameters(PLACES)


def block(channels: int, inner: int) -> nn.Module:
    """The embedded Gaussian, without subsampling and norm layer.

    Raises  MissingPeer: no checkout is named, or it does not hold the file.
    """
    file = Path(os.environ.get(VARIABLE, "")) / "lib" / "non_local_embedded_gaussian.py"
    spec = spec_from_file_location("alexhex7", file) if file.is_file() else None
    if spec is None or spec.loader is None:
        raise MissingPeer(f"AlexHex7/Non-local_pytorch is not installed: set {VARIABLE} to the folder of a checkout")
    module: Any = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.NONLocalBlock2D(channels, inner, sub_sample=False, bn_layer=False)
