"""The affinities of a layer for what it has seen, and its features as rows, in float64 on the host."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from nlmodel.errors import DomainError


@dataclass(frozen=True, eq=False, repr=False)
class Averages:
    """What one sample shows of a layer.

    Attributes
    ----------
    K : (heads, M, M) array.
    before, after : (M, C) features at the input and the output.
    remarks : what a reader should know of them.

    Raises   DomainError: K is not square, not finite, or of one position.
    """

    K: np.ndarray
    before: np.ndarray
    after: np.ndarray
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.K.shape[-1] != self.K.shape[-2]:
            raise DomainError(
                "its affinity is not square",
                got=f"{self.K.shape[-2]} receivers, {self.K.shape[-1]} senders",
                why="receivers and subsampled senders are two sets: there is no chain, and no mode with one factor",
            )
        if self.K.shape[-1] == 1:
            raise DomainError("it has one position, and there is nothing to average")
        if not all(np.all(np.isfinite(values)) for values in (self.K, self.before, self.after)):
            raise DomainError("its affinity on this sample holds NaN or infinity")


def exact_copy(module: nn.Module) -> nn.Module:
    """The module in float64 on the host, in evaluation, without what users hooked to its output.

    Raises   DomainError: it cannot be copied.
    """
    try:
        made = copy.deepcopy(module)
    except (RuntimeError, TypeError) as error:
        raise DomainError("it cannot be copied", got=str(error)) from error
    for part in made.modules():
        part._forward_hooks.clear()
    return made.cpu().double().eval()


def sample_of(x: Tensor, sample: int, axis: int = 0) -> Tensor:
    """One sample of a batch, as a batch of one, in float64 on the host.

    Raises   DomainError: no such sample, or one that is not finite.
    """
    if sample >= x.shape[axis]:
        raise DomainError("sample must be one of the batch", got=f"{sample} of {x.shape[axis]}")
    found = x.narrow(axis, sample, 1).cpu().double()
    if not bool(found.isfinite().all()):
        raise DomainError("its features hold NaN or infinity on this sample")
    return found


def features_of(found: object) -> Tensor:
    """`found`, where it is a tensor of numbers a position.

    Raises   DomainError: it is something else.
    """
    if not isinstance(found, Tensor) or found.is_nested or found.ndim < 2 or not found.is_floating_point():
        raise DomainError("the layer has no features that can be read", got=type(found).__name__)
    return found


def check_positions(count: int, limit: int) -> None:
    """Raise DomainError where the affinity would be larger than wanted."""
    if count > limit:
        raise DomainError(f"it has {count:,} positions; positions={count} audits them, at O(M^3)")


def check_same(
    module: nn.Module, inputs: Sequence[Tensor], found: Tensor, dtype: torch.dtype, run: Callable[..., Tensor]
) -> None:
    """Refuse where the weights, read as they are, do not give what the network computed.

    How far rounding alone may lead is measured: by the same module in the precision of the network, on this sample.

    Parameters
    ----------
    module, inputs, found : the module, and its inputs and output in the network, all in float64.
    dtype : in which the network computed.
    run : from a module and its inputs to the output.
    """
    try:
        with torch.no_grad():
            exact = run(module, *inputs)
            rounded = run(copy.deepcopy(module).to(dtype), *(x.to(dtype) for x in inputs)).double()
    except (RuntimeError, TypeError) as error:
        raise DomainError("it cannot be computed again from its features", got=str(error)) from error
    size, rounding, gap = (float(x.norm()) for x in (exact, rounded - exact, found - exact))
    if not gap <= 16 * (rounding + torch.finfo(dtype).eps * size):
        raise DomainError(
            "its output is not that of the block that its weights describe",
            got=f"a relative difference of {gap / size if size else math.inf:.1e}",
            why="it computes something else, or a hook changes it",
        )
