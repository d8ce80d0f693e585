"""Attention at the doors through which torch computes it: a softmax over senders, or the fused product."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


SOFTMAX = (F.softmax, torch.softmax, Tensor.softmax)
FUSED = F.scaled_dot_product_attention
FUSED_ARGUMENTS = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")


@dataclass(frozen=True, eq=False, repr=False)
class Logits:
    """What the softmax over senders is taken of, for all samples and heads.

    Attributes
    ----------
    lead : the dimensions before the last two.
    positions : M.
    take : from a tensor of numbers of maps, counted through `lead`, to their logits (n, M, M) in float64 on the host.
    """

    lead: tuple[int, ...]
    positions: int
    take: Callable[[Tensor], Tensor]

    def sample(self, sample: int, batch: int) -> Tensor | None:
        """The logits (heads, M, M) of one sample of a batch, whose heads lie together; None where they do not fit."""
        heads, rest = divmod(math.prod(self.lead), batch)
        return (
            None
            if rest or not heads or sample >= batch
            else self.take(torch.arange(heads, device="cpu") + sample * heads)
        )


class Attended(TorchFunctionMode):
    """Tells of each attention of positions over the same number of positions that is computed under it.

    Parameters
    ----------
    tell : called with its `Logits`.
    """

    def __init__(self, tell: Callable[[Logits], None]):
        super().__init__()
        self.tell = tell

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in SOFTMAX:
            x, dim = _softmax_arguments(*args, **kwargs)
            if x.ndim > 2 and x.shape[-1] == x.shape[-2] and dim in (-1, x.ndim - 1):
                self.tell(logits_of(x))
        elif func is FUSED:
            given = {**dict(zip(FUSED_ARGUMENTS, args, strict=False)), **kwargs}
            q, k = given["query"], given["key"]
            if q.ndim > 2 and not q.is_nested and q.shape[-2] == k.shape[-2]:
                self.tell(fused_logits(**given))
        return func(*args, **kwargs)


def logits_of(x: Tensor) -> Logits:
    """Of a tensor (..., M, M) of logits."""
    lead = tuple(x.shape[:-2])
    return Logits(lead, x.shape[-1], lambda maps: _chosen(x, lead, maps))


def log_law(P: Tensor) -> Logits:
    """Of a tensor (..., M, M) of laws."""
    found = logits_of(P)
    return replace(found, take=lambda maps: found.take(maps).log())


def fused_logits(
    query: Tensor,
    key: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    **_: Any,
) -> Logits:
    """q k^T / sqrt(d), or times `scale`, and the mask: what `scaled_dot_product_attention` takes the softmax of."""
    lead, M = tuple(query.shape[:-2]), query.shape[-2]
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    if query.ndim > 3 and query.shape[-3] != key.shape[-3]:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)  # consecutive heads share their keys
    if is_causal:
        attn_mask = torch.ones(M, M, dtype=torch.bool, device=query.device).tril()

    def take(maps: Tensor) -> Tensor:
        logits = factor * _chosen(query, lead, maps) @ _chosen(key, lead, maps).mT
        if attn_mask is None:
            return logits
        if attn_mask.dtype == torch.bool:
            return logits.masked_fill(_chosen(attn_mask, lead, maps) == 0, -math.inf)
        return logits + _chosen(attn_mask, lead, maps)

    return Logits(lead, M, take)


def _chosen(x: Tensor, lead: tuple[int, ...], maps: Tensor) -> Tensor:
    """The matrices of these numbers, of x broadcast to `lead`."""
    places = torch.unravel_index(maps.to(x.device), lead)
    return x.detach().expand(*lead, *x.shape[-2:])[places].cpu().double()


def _softmax_arguments(input: Tensor, dim: int | None = None, *_: Any, **__: Any) -> tuple[Tensor, int | None]:
    return input, dim
