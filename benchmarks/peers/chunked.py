"""The Gaussian product as one writes it down in NumPy or torch, some rows at a time; and fused by torch's compiler."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


ROWS = 512  # of all columns at a time


def in_numpy(X: np.ndarray, scale: float, v: np.ndarray) -> np.ndarray:
    """K v from the expanded square."""
    squares = np.sum(X * X, axis=1)

    def rows(start: int) -> np.ndarray:
        here = slice(start, start + ROWS)
        d = squares[here, None] + squares - 2 * (X[here] @ X.T)
        return np.exp(d / (-2 * scale**2)) @ v

    return np.concatenate([rows(start) for start in range(0, len(X), ROWS)])


def in_torch(X: Tensor, scale: float, v: Tensor) -> Tensor:
    """The same."""
    parts = [torch.exp(torch.cdist(rows, X).square_().div_(-2 * scale**2)) @ v for rows in X.split(ROWS)]
    return torch.cat(parts)


@cache
def compiled() -> Callable[[Tensor, float, Tensor], Tensor]:
    """One fused expression: differences, exponential, product and sum."""

    def product(X: Tensor, scale: float, v: Tensor) -> Tensor:
        x, y, z = (X[:, None, d] - X[None, :, d] for d in range(3))
        return (torch.exp((x * x + y * y + z * z) / (-2 * scale**2)) * v[:, 0]).sum(1, keepdim=True)

    return torch.compile(product, dynamic=False)


def attention(X: Tensor, scale: float, v: Tensor) -> Tensor:
    """K v with rows that sum to one, as fused attention: softmax of (x_i.x_j - |x_j|^2 / 2) / scale^2.

    One more feature carries |x_j|^2; zeros make all of one width, which the fused form wants.
    """
    q = torch.cat([X, torch.ones_like(X[:, :1])], 1)
    k = torch.cat([X, X.square().sum(1, keepdim=True) / -2], 1)
    width = max(q.shape[1], v.shape[1])
    width += -width % (4 if width < 16 else 16)
    q, k, wide = (functional.pad(x, (0, width - x.shape[1]))[None, None] for x in (q, k, v))
    return functional.scaled_dot_product_attention(q, k, wide, scale=scale**-2)[0, 0, :, : v.shape[1]]
