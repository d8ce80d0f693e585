"""Random crops and mirror images of a whole batch by one gather."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from paper_repro.data.layout import SIDE


PAD = 4
"""Pixels of zeros on each side, from whose 40 x 40 square the crop is taken (He et al. 2016, section 4.2)."""


def crop(images: Tensor, top: Tensor, left: Tensor, flip: Tensor) -> Tensor:
    """Pad every image with zeros, cut 32 x 32 pixels out, mirror them; without a loop over images.

        out[b, y, x] = padded[b, top[b] + y, left[b] + (31 - x if flip[b] else x)]

    Parameters
    ----------
    images : (batch, 32, 32, channels).
    top, left : int64 (batch,), entries in 0, ..., 8.
    flip : bool (batch,).

    Returns a tensor like `images`.
    """
    batch, _, _, channels = images.shape
    padded = pad(images, (0, 0, PAD, PAD, PAD, PAD))
    wide = SIDE + 2 * PAD
    line = torch.arange(SIDE, device=images.device)
    row = top[:, None] + line
    column = left[:, None] + torch.where(flip[:, None], SIDE - 1 - line, line)
    image = torch.arange(batch, device=images.device)
    position = (image[:, None, None] * wide + row[:, :, None]) * wide + column[:, None, :]
    return padded.view(-1, channels).index_select(0, position.view(-1)).view(images.shape)
