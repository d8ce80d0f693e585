"""Second derivatives for algorithms whose fast backward has none: they fall back to the definition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def twice_differentiable(out: Tensor, definition: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """`out` itself; a backward pass that builds a graph goes through `definition(*inputs)` instead.

    An ordinary backward pass runs the fast backward that `out` carries.  With create_graph=True the gradient is
    that of the definition, which autograd can differentiate again, at the memory of the definition.

    Parameters
    ----------
    out : definition(*inputs) to rounding, found by other means.
    """
    if torch.compiler.is_compiling() or not torch.is_grad_enabled():  # compiled graphs have no second derivative
        return out
    return _Twice.apply(out, definition, *inputs)  # pyright: ignore[reportReturnType]


def gradients(
    definition: Callable[..., Tensor], inputs: Sequence[Tensor | None], wanted: Sequence[bool], grad: Tensor
) -> tuple[Tensor | None, ...]:
    """Gradients of sum(grad * definition(*inputs)) for the wanted inputs, which can be differentiated again."""
    views = [None if x is None else x.view_as(x) for x in inputs]  # one tensor may stand in two places
    needed = [x for x, need in zip(views, wanted, strict=True) if need and x is not None]
    found = iter(torch.autograd.grad(definition(*views), needed, grad, create_graph=True))
    return tuple(next(found) if need else None for need in wanted)


class _Twice(torch.autograd.Function):
    @staticmethod
    def forward(out: Tensor, definition: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        return out.view_as(out)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, ctx.definition, *tensors = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        wanted = ctx.needs_input_grad[2:]
        if not torch.is_grad_enabled():
            return (grad, None, *(None for _ in wanted))
        return (None, None, *gradients(ctx.definition, ctx.saved_tensors, wanted, grad))
