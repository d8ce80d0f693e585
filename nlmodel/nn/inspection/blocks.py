"""The affinity of a nonlocal block, ours or one of another library that is read as ours."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from nlmodel._arrays import to_numpy
from nlmodel.errors import DomainError, NlmodelError
from nlmodel.nn.block import NonlocalBlock
from nlmodel.nn.criss_cross import CrissCross
from nlmodel.nn.double_attention import DoubleAttention
from nlmodel.nn.global_context import GlobalContext
from nlmodel.nn.inspection.affinities import (
    Averages,
    check_positions,
    check_same,
    exact_copy,
    features_of,
    sample_of,
)
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
ONE_OF_SEVERAL = "Of several passes of criss-cross attention the first is analysed: its affinity, and one weight."


def as_ours(module: nn.Module, seen: Seen) -> nn.Module | None:
    """A block of ours, or one of mmcv, timm or Non-local_pytorch as ours; None where it is neither.

    Raises   DomainError: a block of theirs that cannot be read.
    """
    if isinstance(module, Ours):
        return module
    parts = {name for name, _ in module.named_children()}
    try:
        if {"g", "conv_out"} <= parts and hasattr(module, "mode"):
            return from_mmcv(module)
        if {"t", "p", "g", "z"} <= parts:
            return from_timm(module)
        if {"g", "W"} <= parts:
            return _alexhex(module, seen)
    except NlmodelError as error:
        raise DomainError(f"the block cannot be read: {error.what}", got=error.got) from error
    return None


def of_block(module: nn.Module, seen: Seen, sample: int, limit: int) -> Averages:
    """The affinity on one sample of at most `limit` positions.

    Raises   DomainError: no such sample, too many positions, or an affinity that is not the one the network used.
    """
    given, made = (batched(module, found) for found in (first_input(seen), seen.output))
    sample, about = seen.entry(sample, len(given))
    x, y = sample_of(given, sample), sample_of(made, sample)
    check_positions(math.prod(x.shape[2:]), limit)
    block = exact_copy(module)
    check_same(block, [x], y, seen.precision(seen.output), lambda made, features: made(features))
    with torch.no_grad():
        K = to_numpy(block.affinity(x))  # pyright: ignore[reportCallIssue]
    several = isinstance(module, CrissCross) and module.recurrence > 1
    return Averages(K.reshape(-1, *K.shape[-2:]), _rows(x), _rows(y), (*(ONE_OF_SEVERAL,) * several, *about))


def first_input(seen: Seen) -> Tensor:
    """The first tensor among the arguments."""
    return features_of(next(iter(seen.inputs), None))


def batched(module: nn.Module, x: Any) -> Tensor:
    """Features with one dimension of samples before the channels."""
    dimension: int = module.rows.dimension if hasattr(module, "rows") else module.dimension  # pyright: ignore
    x = features_of(x)
    return x.reshape(-1, *x.shape[-dimension - 1 :])


def _alexhex(module: nn.Module, seen: Seen) -> NonlocalBlock:
    """The mode whose output is the one that was seen: two modes have the same weights."""
    if not hasattr(module, "theta") or hasattr(module, "concat_project"):
        return from_alexhex(module)
    made = {mode: from_alexhex(module, mode=mode) for mode in ("embedded_gaussian", "dot_product")}
    x, y = sample_of(first_input(seen), 0), sample_of(features_of(seen.output), 0)
    with torch.no_grad():
        gaps = {mode: float((exact_copy(block)(x) - y).norm()) for mode, block in made.items()}
    return made[min(gaps, key=lambda mode: gaps[mode])]


def _rows(x: Tensor) -> Any:
    return to_numpy(x[0].flatten(1).mT)
