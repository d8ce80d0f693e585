"""The evolution problem Z' = L Z W^T + R(Z) as a value: its right-hand side, and what may enter it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from nlmodel._arrays import Array, check_alike, check_array, check_number, device, namespace, transpose
from nlmodel.errors import DtypeError, ShapeError
from nlmodel.operators import NonlocalOperator


Weight: TypeAlias = float | Array | None
Field: TypeAlias = Callable[[Array], Array]


def mix(Z: Array, weight: Weight) -> Array:
    """Z W^T: W acts on each feature vector; a number is a multiple of the identity, None the identity."""
    if weight is None:
        return Z
    if isinstance(weight, float):
        return weight * Z
    return namespace(Z).matmul(Z, transpose(weight))


@dataclass(frozen=True, eq=False)
class State:
    """Z with its operator and the product L Z, which both the next step and the energy need.

    Attributes
    ----------
    op : L(Z).
    Z : (..., M, C) array.
    change : L Z.
    """

    op: NonlocalOperator
    Z: Array
    change: Array


@dataclass(frozen=True)
class Problem:
    """Z' = L Z W^T + R(Z), with L frozen or found anew from Z.

        vec(Z)' = (W (x) L) vec(Z) + vec(R(Z))          Tao et al. 2018, eqs (8), (16), (29)

    Attributes
    ----------
    operator : L, or a function Z -> L(Z).
    weight : W: None (identity), a number, or a (C, C) array.
    reaction : R, or None.
    """

    operator: NonlocalOperator | Callable[[Array], NonlocalOperator]
    weight: Weight = None
    reaction: Field | None = None

    @property
    def recomputed(self) -> bool:
        """Whether L depends on Z."""
        return not isinstance(self.operator, NonlocalOperator)

    def at(self, Z: Array) -> NonlocalOperator:
        """L at the state Z."""
        if isinstance(self.operator, NonlocalOperator):
            return self.operator
        op = self.operator(Z)
        if not isinstance(op, NonlocalOperator):
            raise DtypeError(
                "op must return a NonlocalOperator",
                got=f"{type(op).__name__} from op(Z)",
                fix="return NonlocalOperator.from_points(Z, kernel) or another of its constructors",
            )
        return op

    def diffusion(self, op: NonlocalOperator, Z: Array) -> Array:
        """L Z W^T with L = `op`."""
        return mix(op.apply(Z), self.weight)

    def state(self, Z: Array) -> State:
        """Z with L(Z) and L(Z) Z."""
        op = self.at(Z)
        return State(op, Z, op.apply(Z))

    def rate(self, state: State) -> Array:
        """L Z W^T + R(Z)."""
        change = mix(state.change, self.weight)
        return change if self.reaction is None else change + self.reaction(state.Z)

    def check(self, Z: Array) -> State:
        """The initial state, after checking that every part of the problem fits it."""
        op = self.at(Z)
        change = op @ Z
        if change.shape != Z.shape:
            raise ShapeError(
                "Z0 must have the batch dimensions of the operator",
                got=f"Z0 {tuple(Z.shape)}, operator {op.shape}",
                fix="repeat Z0 along the batch of operators",
            )
        if self.reaction is not None:
            _check_reaction(self.reaction(Z), Z)
        return State(op, Z, change)


def _check_reaction(found: Array, Z: Array) -> None:
    check_array(found, "reaction(Z)", finite=False)
    check_alike(Z0=Z, **{"reaction(Z)": found})
    if found.shape != Z.shape:
        raise ShapeError("reaction(Z) must have the shape of Z", got=f"{tuple(found.shape)} for Z {tuple(Z.shape)}")


def checked_weight(weight: Any, Z: Array, name: str = "weight") -> Weight:
    """`weight` as None, a float, or a (C, C) array that fits Z of shape (..., M, C); a () array becomes w I."""
    if weight is None:
        return None
    if not hasattr(weight, "shape") or isinstance(weight, np.number):
        return check_number(weight, name)
    check_array(weight, name)
    xp = check_alike(Z=Z, **{name: weight})
    channels = Z.shape[-1]
    if weight.shape == ():
        return weight * xp.eye(channels, dtype=Z.dtype, device=device(Z))
    if tuple(weight.shape) != (channels, channels):
        raise ShapeError(
            f"{name} must be a number or a ({channels}, {channels}) array",
            got=f"shape {tuple(weight.shape)}",
            why="W maps the feature vector of a position to one of the same length",
        )
    return weight
