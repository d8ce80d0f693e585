"""The weights of a peer's block: copies, taken by name, none left over."""

from __future__ import annotations

from collections.abc import Mapping

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
        self.left = {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
        if not self.left:
            some = ", ".join(map(repr, list(state)[:3]))
            raise ChoiceError(
                "prefix must be the beginning of names in the state dict", got=f"{prefix!r}; names are {some}, ..."
            )

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
        if kernel.ndim not in (3, 4, 5) or kernel[0, 0].numel() != 1 or not kernel.is_floating_point():
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


def check_alike(tensors: list[Tensor]) -> torch.dtype:
    """The one dtype of all."""
    dtypes = {t.dtype for t in tensors}
    if len(dtypes) > 1:
        raise DtypeError("all weights must share their dtype", got=", ".join(sorted(map(str, dtypes))))
    return dtypes.pop()
