"""A few images of a batch at a time, so that only their tensors exist together."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def in_chunks(function: Callable[[Tensor], Tensor], rows: Tensor, images: int | None) -> Tensor:
    """function(rows), found for `images` of the batch at a time; None is all of them.

    Where gradients are asked for, what `function` keeps for them is found again in the backward pass, for the same
    images at a time.

    Parameters
    ----------
    function : (B, M, C) -> (B, C, M), image by image, of `rows` and of tensors it holds, never of a module's state,
        which may have changed when it is called again.
    """
    if images is None or images >= rows.shape[0]:
        return function(rows)
    if not torch.is_grad_enabled():
        return torch.cat([function(part) for part in rows.split(images)])
    parts = (checkpoint(function, part, use_reentrant=False, preserve_rng_state=False) for part in rows.split(images))
    return torch.cat(list(parts))  # pyright: ignore[reportArgumentType]
