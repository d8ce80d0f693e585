"""The affinities of a layer for what it has seen, and its features as rows, in float64 on the host."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nlmodel._arrays import to_numpy
from nlmodel.errors import DomainError, NlmodelError
from nlmodel.nn.block import NonlocalBlock
from nlmodel.nn.criss_cross import CrissCross
from nlmodel.nn.double_attention import DoubleAttention
from nlmodel.nn.global_context import GlobalContext
from nlmodel.nn.inspection.seen import Seen
from nlmodel.nn.loaders import from_alexhex, from_mmcv, from_timm
from nlmodel.nn.multihead import MultiheadNonlocalBlock
from nlmodel.nn.spectral import SpectralNonlocalBlock
from nlmodel.nn.stage import NonlocalStage


Ours = (
    NonlocalBlock
    | NonlocalStage
    | SpectralNonlocalBlock
    | DoubleAttention
    | CrissCross
    | GlobalContext
    | MultiheadNonlocalBlock
)


@dataclass(frozen=True, eq=False, repr=False)
class Averages:
    """What one sample shows of a layer.

    Attributes
    ----------
    K : (heads, M, M) array.
    before, after : (M, C) features at the input and the output.
    remarks : what a reader should know of them.
    """

    K: np.ndarray
    before: np.ndarray
    after: np.ndarray
    remarks: tuple[str, ...] = ()


def averages(module: nn.Module, seen: Seen, sample: int) -> Averages:
    """The affinities of a module for one sample of what it has seen.

    Raises   DomainError: the affinity is not known, is not square, or is not the one the module used.
    """
    if isinstance(module, nn.MultiheadAttention):
        return _of_torch_attention(module, seen, sample)
    if isinstance(module, Ours):
        return _of_block(module, seen, sample)
    made = _as_ours(module, seen)
    if made is not None:
        return _of_block(made, seen, sample)
    return _of_probabilities(seen, sample)


def exact_copy(module: nn.Module) -> nn.Module:
    """The module in float64 on the host, in evaluation."""
    return copy.deepcopy(module).to("cpu", torch.float64).eval()


def sample_of(x: Any, sample: int, axis: int = 0) -> Tensor:
    """One sample of a batch, as a batch of one, in float64 on the host."""
    if not isinstance(x, Tensor) or x.ndim < 2 or not x.is_floating_point():
        raise DomainError("the layer was given no features that can be read", got=type(x).__name__)
    if sample >= x.shape[axis]:
        raise DomainError("sample must be one of the batch", got=f"{sample} of {x.shape[axis]}")
    return x.narrow(axis, sample, 1).to("cpu", torch.float64)


def _of_block(module: nn.Module, seen: Seen, sample: int) -> Averages:
    block = exact_copy(module)
    x, y = sample_of(seen.args[0], sample), sample_of(seen.output, sample)
    with torch.no_grad():
        K = to_numpy(block.affinity(x))  # pyright: ignore[reportCallIssue]
        exact = block(x)
    _check_same(exact, y, seen.output)
    K = K[0] if K.ndim > 3 else K
    if K.ndim != 3 or K.shape[-1] != K.shape[-2]:
        raise DomainError(
            "its affinity is not square",
            got=f"{K.shape[-2]} receivers, {K.shape[-1]} senders",
            why="receivers and subsampled senders are two sets: there is no chain, and no mode with one factor",
        )
    return Averages(K, _rows(x), _rows(y))


def _check_same(exact: Tensor, found: Tensor, output: Tensor) -> None:
    """Refuse where the weights, read as they are, do not give what the network computed."""
    gap = float((exact - found).norm() / exact.norm().clamp(min=torch.finfo(torch.float64).tiny))
    slack = 64 * exact[0].numel() ** 0.5 * torch.finfo(output.dtype).eps
    if not gap <= slack:
        raise DomainError(
            "its output is not that of the block that its weights describe",
            got=f"a relative difference of {gap:.1e}",
            why="it computes something else, or hooks change it",
        )


def _as_ours(module: nn.Module, seen: Seen) -> NonlocalBlock | None:
    """A block of mmcv, timm or Non-local_pytorch as ours; None where it is neither."""
    parts = {name for name, _ in module.named_children()}
    try:
        if {"g", "conv_out"} <= parts and hasattr(module, "mode"):
            return from_mmcv(module)
        if {"t", "p", "g", "z"} <= parts:
            return from_timm(module)
        if {"g", "W"} <= parts:
            return _alexhex(module, seen)
    except NlmodelError as error:
        raise DomainError("the block cannot be read", got=error.what) from error
    return None


def _alexhex(module: nn.Module, seen: Seen) -> NonlocalBlock:
    """The mode whose output is the one that was seen: two modes have the same weights."""
    if not hasattr(module, "theta") or hasattr(module, "concat_project"):
        return from_alexhex(module)
    made = {mode: from_alexhex(module, mode=mode) for mode in ("embedded_gaussian", "dot_product")}
    x, y = sample_of(seen.args[0], 0), sample_of(seen.output, 0)
    with torch.no_grad():
        gaps = {mode: float((exact_copy(block)(x) - y).norm()) for mode, block in made.items()}
    return made[min(gaps, key=lambda mode: gaps[mode])]


def _of_torch_attention(module: nn.MultiheadAttention, seen: Seen, sample: int) -> Averages:
    names = ("query", "key", "value", "key_padding_mask", "need_weights", "attn_mask")
    given = {**dict(zip(names, seen.args, strict=False)), **seen.kwargs}
    if any(given.get(name) is not None for name in ("key_padding_mask", "attn_mask")) or given.get("is_causal"):
        raise DomainError("it was called with a mask", why="positions then do not see the same others")
    axis = 0 if module.batch_first else 1
    q, k, v = (sample_of(given[name], sample, axis) for name in names[:3])
    if q.shape != k.shape or not torch.equal(q, k) or not torch.equal(q, v):
        raise DomainError(
            "queries, keys and values differ", why="cross-attention averages over another set of positions"
        )
    with torch.no_grad():
        out, K = exact_copy(module)(q, k, v, need_weights=True, average_attn_weights=False)
    _check_same(out, sample_of(seen.output[0], sample, axis), seen.output[0])
    return Averages(to_numpy(K[0]), *(to_numpy(x.squeeze(axis)) for x in (q, q + out)), remarks=(RESIDUAL,))


RESIDUAL = (
    "The residual around the layer is taken to be the identity, $X + \\sum_h K_h X W_h^\\top$; biases are not in $W$."
)


def _of_probabilities(seen: Seen, sample: int) -> Averages:
    if not seen.probabilities:
        raise DomainError(
            "it returns no attention probabilities",
            why="its affinity cannot be known from outside, and only its weights were audited",
            fix="make it return them, as output_attentions=True does, or call it without a fused kernel",
        )
    inputs = [*seen.args, *seen.kwargs.values()]
    x = next((t for t in inputs if isinstance(t, Tensor) and t.ndim == 3 and t.is_floating_point()), None)
    out = seen.output[0] if isinstance(seen.output, tuple | list) else seen.output
    before, after = sample_of(x, sample)[0], sample_of(out, sample)[0]
    K = seen.probabilities[0]
    if before.shape != after.shape or K.shape[-1] != len(before):
        raise DomainError("its features and its probabilities do not have the same positions", got=f"{tuple(K.shape)}")
    return Averages(to_numpy(sample_of(K, sample)[0]), to_numpy(before), to_numpy(before + after), (RESIDUAL,))


def _rows(x: Tensor) -> np.ndarray:
    return to_numpy(x[0].flatten(1).mT)
