"""The dot-product block from the second moments of its input: no features, no averages, two products with x."""

from __future__ import annotations

import torch
from torch import Tensor

from nlmodel.nn.layers import Affine
from nlmodel.nn.positions import wide


def moment_map(
    rows: Tensor, theta: Affine, phi: Affine, g: Affine, w_z: Affine, factor: float
) -> tuple[Tensor, Tensor | None]:
    """What the dot-product block adds at every position as an affine map of x there, one an image.

        f sum_j (theta x_i . phi x_j) W_Z W_g x_j = (f W_Z W_g G W_phi^T W_theta) x_i,   G = sum_j x_j x_j^T

    Wang et al. 2018, eq. (4), reordered.  With biases, x has a last component 1, and G the sums of x beside it.

    Parameters
    ----------
    rows : (B, M, C) tensor.
    factor : f, the scale over the number of senders.

    Returns  the (B, C, C) map and its (B, C, 1) offset or None, in at least float32.
    Cost     2 B M C^2 operations, and as much for applying the map; memory of C x C matrices.
    """
    exact = wide(rows.dtype)
    X = rows.mT.to(exact)
    theta, phi, g, w_z = (layer.to(exact) for layer in (theta, phi, g, w_z))
    G = torch.bmm(X, X.mT)
    if is_affine(theta, phi, g):
        total = X.sum(-1, keepdim=True)
        count = torch.full_like(total[:, :1], X.shape[-1])
        G = torch.cat([torch.cat([G, total], -1), torch.cat([total.mT, count], -1)], -2)
        theta, phi, g = (_homogeneous(layer) for layer in (theta, phi, g))
    found = w_z.weight @ (g.weight @ G @ phi.weight.mT * factor) @ theta.weight
    C = X.shape[1]
    if w_z.bias is None:
        return (found, None) if found.shape[-1] == C else (found[..., :C], found[..., C:])
    bias = w_z.bias[:, None].expand(X.shape[0], -1, -1)
    return (found, bias) if found.shape[-1] == C else (found[..., :C], found[..., C:] + bias)


def moment_operations(batch: int, positions: int, channels: int, inner: int, *, affine: bool) -> int:
    """Operations of finding the map and applying it."""
    C, r, extended = channels, inner, channels + affine
    small = r * extended * (extended + r) + C * r * (r + extended)
    return 2 * batch * (2 * positions * C * C + small)


def is_affine(*layers: Affine) -> bool:
    """Whether any of the layers has a bias."""
    return any(layer.bias is not None for layer in layers)


def _homogeneous(layer: Affine) -> Affine:
    bias = layer.weight.new_zeros(len(layer.weight)) if layer.bias is None else layer.bias
    return Affine(torch.cat([layer.weight, bias[:, None]], -1), None)


def moment_block(
    rows: Tensor, theta: Affine, phi: Affine, g: Affine, w_z: Affine, factor: float, *, residual: bool
) -> Tensor:
    """P x + b, or x + P x + b, with the `moment_map` (P, b), as (B, C, M) in the memory format and dtype of x."""
    with torch.autocast(rows.device.type, enabled=False):
        change, offset = moment_map(rows, theta, phi, g, w_z, factor)
        X = rows.to(change.dtype)
        if residual:
            change = change + torch.eye(change.shape[-1], dtype=change.dtype, device=change.device)
        if rows.is_contiguous():  # channels last
            out = torch.bmm(X, change.mT) if offset is None else torch.baddbmm(offset.mT, X, change.mT)
            return out.mT.to(rows.dtype)
        out = torch.bmm(change, X.mT) if offset is None else torch.baddbmm(offset, change, X.mT)
        return out.to(rows.dtype)
