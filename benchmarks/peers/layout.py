"""What the peers' blocks have in common: four 1x1 convolutions, under names of their own."""

from __future__ import annotations

from collections.abc import Mapping


def layer_shapes(places: Mapping[str, str], channels: int, inner: int) -> dict[str, tuple[int, ...]]:
    """The state dict of the convolutions at these places: of theta, phi, g and w_z, or of some of them."""
    found = {}
    for name, place in places.items():
        sizes = (channels, inner) if name == "w_z" else (inner, channels)
        found |= {f"{place}.weight": (*sizes, 1, 1), f"{place}.bias": sizes[:1]}
    return found


def parameters(places: Mapping[str, str]) -> list[str]:
    """Weight and bias of every place, in the order in which all blocks are compared."""
    return [f"{place}.{part}" for place in places.values() for part in ("weight", "bias")]
