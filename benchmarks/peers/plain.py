"""The nonlocal stage as one writes it down: the affinity is stored, every sub-block is a product with it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Stage(nn.Module):
    """Z <- Z + (K Z - Z) W_n^T with K = softmax(theta x . phi x), Tao et al. 2018, eqs (8)-(9).

    Parameters
    ----------
    channels, inner, blocks : C, length of theta x and phi x, N.
    rank : None for weights W (C, C); else W = W_Z W_g through this many channels, and K is applied to W_g Z.
    """

    def __init__(self, channels: int, inner: int, blocks: int, rank: int | None = None):
        super().__init__()
        self.theta, self.phi = (nn.Parameter(torch.empty(inner, channels)) for _ in range(2))
        self.w_z = nn.Parameter(torch.empty(blocks, channels, channels if rank is None else rank))
        self.w_g = None if rank is None else nn.Parameter(torch.empty(blocks, rank, channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        Z = x.flatten(2).mT
        K = torch.softmax((Z @ self.theta.mT) @ (Z @ self.phi.mT).mT, -1)
        for n, w_z in enumerate(self.w_z):
            v = Z if self.w_g is None else Z @ self.w_g[n].mT
            Z = Z + (K @ v - v) @ w_z.mT
        return Z.mT.reshape(x.shape)
