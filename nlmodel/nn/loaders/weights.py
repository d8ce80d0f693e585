"""The weights of a peer's block: copies, taken by name, none left over; and what its module says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nlmodel.errors import ChoiceError, DtypeError, ShapeError


class PeerWeights:
    """The tensors of a module or a state dict under `prefix`, each to be taken once.

    Raises   DtypeError: neither module nor state dict; ChoiceError: nothing under the prefix.
    """

    def __init__(self, source: nn.Module | Mapping[str, Tensor], prefix: str = ""):
        state = source.state_dict() if isinstance(source, nn.Module) else source
        if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
            raise DtypeError(
                "source must be a module or its state_dict",
                got=type(source).__name__,
                why="a block is made from named tensors",
                fix='of a checkpoint pass the mapping itself, often checkpoint["state_dict"]',
            )
        if not isinstance(prefix, str):
            raise DtypeError("prefix must be a string", got=repr(prefix))
        start = f"{prefix.removesuffix('.')}." if prefix else ""
        self.left = {name[len(start) :]: value for name, value in state.items() if name.startswith(start)}
        if not self.left:
            some = ", ".join(map(repr, list(state)[:3]))
            raise ChoiceError(
                "prefix must be the beginning of names in the state dict", got=f"{prefix!r}; names are {some}, ..."
            )
        self.module = source.get_submodule(start[:-1]) if isinstance(source, nn.Module) else None

    @property
    def training(self) -> bool:
        """Whether the peer is a module in training mode."""
        return self.module is not None and self.module.training

    def part(self, name: str) -> nn.Module | None:
        """The submodule of this name, where the peer is a module."""
        return None if self.module is None else self.module.get_submodule(name)

    def has(self, name: str) -> bool:
        """Whether a tensor of this name is left."""
        return name in self.left

    def take(self, name: str) -> Tensor:
        """A copy of the tensor of this name, which is then no longer left."""
        if name not in self.left:
            raise ChoiceError(
                f"the weights must have {name!r}",
                got=", ".join(map(repr, self.left)) or "nothing else",
                why="the block would not be the peer's with a weight made up",
                fix="pass the weights of one block, with prefix= when they are part of a network's",
            )
        return self.left.pop(name).detach().clone()

    def matrix(self, name: str) -> tuple[Tensor, int]:
        """The weight of a 1x1 convolution as (out, in), and the dimension of its positions."""
        kernel = self.take(f"{name}.weight")
        if kernel.ndim not in (3, 4, 5) or set(kernel.shape[2:]) != {1} or not kernel.is_floating_point():
            raise ShapeError(
                f"{name}.weight must be the kernel of a 1x1 convolution",
                got=f"shape {tuple(kernel.shape)}, {kernel.dtype}",
            )
        return kernel.flatten(1), kernel.ndim - 2

    def bias(self, name: str) -> Tensor | None:
        """The bias of a convolution, if it has one."""
        return self.take(f"{name}.bias") if self.has(f"{name}.bias") else None

    def done(self) -> None:
        """Raise unless every tensor was taken."""
        if self.left:
            raise ChoiceError(
                "every weight must have its place in the block",
                got=f"also {', '.join(map(repr, self.left))}",
                why="what is left out would change the output",
                fix="check mode, and that the weights are those of one block",
            )


def told(owner: nn.Module | None, attribute: str, given: Any, name: str | None = None) -> Any:
    """What a module says of itself by an attribute, else what the caller said; ChoiceError where both differ."""
    own = getattr(owner, attribute, None)
    if own is None or given is None or given == own:
        return given if own is None else own
    raise ChoiceError(
        f"{name or attribute} must be that of the module",
        got=f"{given!r}, and the module has {own!r}",
        why="another value would give another function",
        fix=f"leave out {name or attribute}, or pass the state_dict",
    )


def check_alike(tensors: list[Tensor]) -> tuple[torch.dtype, torch.device]:
    """The one dtype and device of all."""
    kinds = {(t.dtype, t.device) for t in tensors}
    if len(kinds) > 1:
        raise DtypeError(
            "all weights must share their dtype and device",
            got=", ".join(sorted(f"{dtype} on {device}" for dtype, device in kinds)),
        )
    return kinds.pop()
