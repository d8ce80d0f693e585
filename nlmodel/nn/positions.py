"""Images, sequences and clips as rows of positions, and back; subsampling of the senders."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nlmodel.errors import DtypeError, ShapeError


def check_input(x: Tensor, channels: int, dimension: int, weight: Tensor) -> None:
    """Raise unless x is a non-empty floating (..., C, *positions) tensor of the precision of `weight`."""
    if not isinstance(x, Tensor):
        raise DtypeError("x must be a torch tensor", got=type(x).__name__, fix="use torch.as_tensor(x)")
    if x.ndim <= dimension or x.shape[-dimension - 1] != channels or 0 in x.shape:
        axes = ("length", "height, width", "time, height, width")[dimension - 1]
        raise ShapeError(
            f"x must have shape (..., {channels}, {axes}) and not be empty",
            got=f"shape {tuple(x.shape)}",
            why=f"the module was made for {channels} channels and {dimension}D positions",
        )
    check_dtype(x.dtype, x.device.type, weight)


def check_dtype(dtype: torch.dtype, device: str, weight: Tensor) -> None:
    """Raise unless dtype is that of `weight`, or autocast will make it so."""
    if dtype != weight.dtype and not (dtype.is_floating_point and torch.is_autocast_enabled(device)):
        raise DtypeError(
            "x must have the dtype of the weights",
            got=f"x {dtype}, weights {weight.dtype}",
            why="nothing is cast silently",
            fix="convert x, or the module with .to(x.dtype), or use torch.autocast",
        )


def to_rows(x: Tensor, dimension: int) -> Tensor:
    """(..., C, *positions) -> (B, M, C), a view where possible: row i is the feature vector of position i."""
    return x.flatten(-dimension).mT.flatten(0, -3) if x.ndim > dimension + 1 else x.flatten(-dimension).mT[None]


def from_rows(rows: Tensor, shape: torch.Size) -> Tensor:
    """The inverse of `to_rows`, for an input of the given shape."""
    return rows.mT.reshape(shape)


def pooled_sizes(sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Sizes after the pooling; ShapeError where an axis is too short for it."""
    factors = _factors(len(sizes))
    if any(n < factor for n, factor in zip(sizes, factors, strict=True)):
        raise ShapeError(
            "subsampling needs at least two positions along each spatial axis",
            got=f"positions {tuple(sizes)}",
            why="senders are pooled by two",
            fix="use subsample=None on small maps",
        )
    return tuple(n // factor for n, factor in zip(sizes, factors, strict=True))


def pool_rows(rows: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Max-pooling by two along each spatial axis (not along time), as Wang et al. 2018, sec. 3.3."""
    pooled_sizes(sizes)
    factors = _factors(len(sizes))
    pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[len(sizes) - 1]
    return pool(rows.mT.unflatten(-1, sizes), factors).flatten(2).mT


def _factors(dimension: int) -> tuple[int, ...]:
    return (1, 2, 2) if dimension == 3 else (2,) * dimension


def wide(dtype: torch.dtype) -> torch.dtype:
    """The precision of logits, row sums and averages: float32 for half precisions, else the dtype itself."""
    return torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype


def both_to(dtype: torch.dtype, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Both sides in a dtype; one and the same set of features stays so."""
    if left is right:
        both = left.to(dtype)
        return both, both
    return left.to(dtype), right.to(dtype)
