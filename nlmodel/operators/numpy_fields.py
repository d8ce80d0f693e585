"""A linear map that is computed in NumPy, on fields of every library."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from array_api_compat import is_torch_array

from nlmodel._arrays import Array, like, to_numpy


Action: TypeAlias = Callable[[np.ndarray], np.ndarray]


def through_numpy(action: Action, transposed: Action, Z: Array) -> Array:
    """`action(Z)` in the library and on the device of `Z`; torch gradients of any order flow through `transposed`."""
    if isinstance(Z, np.ndarray):
        return action(Z)
    if is_torch_array(Z):
        return _linear().apply(Z, action, transposed)
    return like(action(to_numpy(Z)), Z)


def held_in_numpy(*arrays: Array) -> list[np.ndarray] | None:
    """The arrays where they are NumPy's, or constants of torch in the memory of the host, which are not copied.

    None of tensors elsewhere, of those that derivatives are taken of, and of other libraries.
    """
    if not all(isinstance(x, np.ndarray) or (is_torch_array(x) and _is_constant(x)) for x in arrays):
        return None
    return [to_numpy(x) for x in arrays]


def _is_constant(x: Array) -> bool:
    if x.requires_grad or x.device.type != "cpu":
        return False
    return importlib.import_module("torch.autograd.forward_ad").unpack_dual(x).tangent is None


@cache
def _linear() -> Any:
    autograd = importlib.import_module("torch.autograd")

    class Linear(autograd.Function):
        @staticmethod
        def forward(ctx: Any, Z: Array, action: Action, transposed: Action) -> Array:
            ctx.actions = action, transposed
            return like(action(to_numpy(Z)), Z)

        @staticmethod
        def backward(ctx: Any, gradient: Array) -> tuple[Array, None, None]:
            action, transposed = ctx.actions
            return Linear.apply(gradient, transposed, action), None, None

        @staticmethod
        def jvp(ctx: Any, tangent: Array, *_: None) -> Array:
            return Linear.apply(tangent, *ctx.actions)

    return Linear
