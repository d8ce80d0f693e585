"""The affinities of attention, a head each, and what the layer makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nlmodel._arrays import to_numpy
from nlmodel.errors import DomainError
from nlmodel.nn.checkpoint.layers import Weight
from nlmodel.nn.inspection.affinities import (
    Averages,
    check_positions,
    check_same,
    exact_copy,
    features_of,
    sample_of,
)
from nlmodel.nn.inspection.seen import Seen


ARGUMENTS = ("query", "key", "value", "key_padding_mask", "need_weights", "attn_mask", "average_attn_weights")
OTHERS = ("key_value_states", "encoder_hidden_states", "memory", "context")
"""What the positions that are listened to are called, where they are not those that listen."""

RESIDUAL = (
    "The residual around the layer is taken to be the identity, $X + \\sum_h K_h X W_h^\\top$; biases are not in $W$."
)
INCLUDED = "The layer adds its residual itself, $X + \\sum_h K_h X W_h^\\top$; biases are not in $W$."
UNTOLD = RESIDUAL + " The weights are not told by heads, and their product with the affinity was not compared."
UNEXPLAINED = (
    "What it returns is not $\\sum_h K_h X W_h^\\top$ and a constant, nor this and $X$: a norm, a gate or another map "
    "acts inside, which $W$ does not know. The features after it are what it returns."
)
DIFFER = "queries, keys and values differ: it averages over another set of positions"
MASKED = "It was called with a mask: row $i$ weighs the positions that $i$ may see."


def of_torch_attention(module: nn.MultiheadAttention, seen: Seen, sample: int, limit: int) -> Averages:
    """The probabilities that torch's own module has on one sample of at most `limit` positions.

    Raises   DomainError: no such sample, too many positions, cross-attention, or something else was computed.
    """
    given = {**dict(zip(ARGUMENTS, seen.args, strict=False)), **seen.kwargs}
    several = features_of(given["query"]).ndim > 2
    axis = 0 if module.batch_first or not several else 1
    q, k, v = (features_of(given[name]) for name in ARGUMENTS[:3])
    if q.shape != v.shape or not torch.equal(q, k):  # places may be added to q and k alone
        raise DomainError(DIFFER)
    tensors = [t if several else t[None] for t in (q, v, features_of(seen.result))]
    sample, about = seen.entry(sample, tensors[0].shape[axis])
    asking, x, y = (sample_of(t, sample, axis).transpose(0, axis) for t in tensors)
    check_positions(x.shape[1], limit)
    masks = _masks(given, sample, module.num_heads)

    def run(made: nn.Module, Q: Tensor, V: Tensor, **options: Any) -> tuple[Tensor, Tensor]:
        fitting = {name: m.to(Q.dtype) if m.is_floating_point() else m for name, m in masks.items()}
        return made(Q, Q, V, **fitting, **options)

    exact = exact_copy(module)
    exact.batch_first = True  # pyright: ignore[reportArgumentType]
    check_same(exact, [asking, x], y, seen.precision(tensors[2]), lambda *given: run(*given, need_weights=False)[0])
    with torch.no_grad():
        K = run(exact, asking, x, need_weights=True, average_attn_weights=False)[1]
    remarks = (RESIDUAL, *(MASKED,) * bool(masks), *about)
    return Averages(to_numpy(K[0]), to_numpy(x[0]), to_numpy((x + y)[0]), remarks)


def of_law(seen: Seen, sample: int, limit: int, weights: Sequence[Weight]) -> Averages:
    """The law that was seen being computed in a layer, and whether its output is what the weights make of it.

        y_i = sum_j sum_h K_h,ij W_h x_j + b

    Raises   DomainError: no law was seen, cross-attention, or features of other positions.
    """
    x, y = features_of(next(iter(seen.inputs), None)), features_of(seen.result)
    check_positions(seen.positions or 0, limit)
    sample, about = seen.entry(sample, seen.batch)
    if sample >= seen.batch > 0:
        raise DomainError("sample must be one of the batch", got=f"{sample} of {seen.batch}")
    if seen.law is None:
        raise DomainError(
            "no attention of its positions to each other was seen in it",
            why="looked for were a softmax over as many senders as receivers, fused or not, and probabilities returned",
            fix="call it without a kernel of its own, as attn_implementation='eager' does",
        )
    if any(seen.kwargs.get(name) is not None for name in OTHERS):
        raise DomainError(DIFFER)
    K, C = to_numpy(seen.law), weights[0].arrays[0].shape[0]
    before, after = (_rows(sample_of(t, sample), K.shape[-1], C) for t in (x, y))
    after, said = _after(K, before, after, weights, torch.finfo(seen.precision(y)).eps)
    return Averages(K, before, after, (said, *about))


def _after(
    K: np.ndarray, X: np.ndarray, Y: np.ndarray, weights: Sequence[Weight], eps: float
) -> tuple[np.ndarray, str]:
    """The features after a layer that made Y of X, and what to say of them."""
    if len(weights) != len(K):
        return X + Y, UNTOLD
    made = sum(_applied(law, X, weight) for law, weight in zip(K, weights, strict=True))
    slack = eps**0.5 * _varies(made) + 4 * eps * _varies(Y)
    if _varies(Y - made) <= slack:
        return X + Y, RESIDUAL
    return Y, INCLUDED if _varies(Y - X - made) <= slack else UNEXPLAINED


def _applied(K: np.ndarray, X: np.ndarray, weight: Weight) -> np.ndarray:
    """K X W^T, with the factors of W one after the other."""
    for factor in reversed(weight.arrays):
        X = X @ factor.T
    return K @ X


def _varies(Z: Any) -> float:
    """How much features vary over positions."""
    return float(np.linalg.norm(Z - Z.mean(axis=0)))


def _rows(x: Tensor, positions: int, channels: int) -> np.ndarray:
    """The features of one sample as (M, C) rows, whether channels come last or first.

    Raises   DomainError: they are of other positions or channels.
    """
    for rows in (x.flatten(1, -2), x.flatten(2).mT):
        if tuple(rows.shape) == (1, positions, channels):
            return to_numpy(rows[0])
    raise DomainError(
        "its features do not have the positions of its affinity",
        got=f"{tuple(x.shape[1:])} beside {positions} positions and {channels} channels",
    )


def _masks(given: Mapping[str, Any], sample: int, heads: int) -> dict[str, Tensor]:
    """The masks of one sample."""
    found = {name: given[name] for name in ("key_padding_mask", "attn_mask") if given.get(name) is not None}
    if "key_padding_mask" in found and found["key_padding_mask"].ndim == 2:
        found["key_padding_mask"] = found["key_padding_mask"][sample : sample + 1]
    elif "key_padding_mask" in found:
        found["key_padding_mask"] = found["key_padding_mask"][None]
    if "attn_mask" in found and found["attn_mask"].ndim == 3:
        found["attn_mask"] = found["attn_mask"][sample * heads : (sample + 1) * heads]
    return {name: mask.cpu() for name, mask in found.items()}
