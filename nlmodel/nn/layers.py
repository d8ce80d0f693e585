"""Layers on all positions as one product an image, which takes features as they lie in memory and copies none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Affine(NamedTuple):
    """y = W x + b: W (out, in), and b (out,) or None."""

    weight: Tensor
    bias: Tensor | None

    @classmethod
    def of(cls, layer: nn.Linear) -> Affine:
        """The numbers of a layer, read once, so that weights which are computed are computed once."""
        return cls(layer.weight, layer.bias)

    def to(self, dtype: torch.dtype) -> Affine:
        """The same map in another precision."""
        return Affine(self.weight.to(dtype), None if self.bias is None else self.bias.to(dtype))

    def after(self, offset: Tensor | None) -> Affine:
        """The map of y + offset."""
        if offset is None:
            return self
        moved = self.weight @ offset
        return Affine(self.weight, moved if self.bias is None else moved + self.bias)


def stacked(layers: Sequence[Affine]) -> Affine:
    """One layer whose outputs are those of all `layers`, one after the other."""
    if len(layers) == 1:
        return layers[0]
    weight = torch.cat([layer.weight for layer in layers])
    if all(layer.bias is None for layer in layers):
        return Affine(weight, None)
    biases = [layer.weight.new_zeros(len(layer.weight)) if layer.bias is None else layer.bias for layer in layers]
    return Affine(weight, torch.cat(biases))


def rows_of(rows: Tensor, layers: Sequence[Affine]) -> tuple[Tensor, ...]:
    """The outputs of all layers at all positions, (B, M, out) each: views of one product.

    Parameters
    ----------
    rows : (B, M, in) tensor, a transposed view too.
    """
    weight, bias = stacked(layers)
    weights = weight.mT.expand(rows.shape[0], -1, -1)
    out = torch.bmm(rows, weights) if bias is None else torch.baddbmm(bias, rows, weights)
    return out.split([layer.weight.shape[0] for layer in layers], -1)


def channels_of(Y: Tensor, layer: Affine) -> Tensor:
    """The output of a layer as (B, out, M), channels first, from rows Y (B, M, in)."""
    weights = layer.weight.expand(Y.shape[0], -1, -1)
    if layer.bias is None:
        return torch.bmm(weights, Y.mT)
    return torch.baddbmm(layer.bias[:, None], weights, Y.mT)


def plus_channels_of(rows: Tensor, Y: Tensor, layer: Affine) -> Tensor:
    """x + W y + b as (B, C, M) in the memory format of x, from rows (B, M, C) of x and (B, M, in) of y.

    Under autocast and where the dtypes differ the layer may be in few bits, the sum is in those of x.
    """
    if torch.is_autocast_enabled(rows.device.type) or Y.dtype != rows.dtype:
        return rows.mT + channels_of(Y, layer).to(rows.dtype)
    if rows.is_contiguous():  # channels last
        out = torch.baddbmm(rows, Y, layer.weight.mT.expand(Y.shape[0], -1, -1))
        return (out if layer.bias is None else out.add_(layer.bias)).mT
    out = torch.baddbmm(rows.mT, layer.weight.expand(Y.shape[0], -1, -1), Y.mT)
    return out if layer.bias is None else out.add_(layer.bias[:, None])
