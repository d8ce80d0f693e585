"""M x N matrices of a few images at a time, in memory that is used again."""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import Tensor


LOG2_E = math.log2(math.e)  # exp(s) = 2^(s log2 e): powers of two are the cheaper exponential


def images_at_a_time(images: int, entries: int, itemsize: int, device: str) -> int:
    """How many matrices are held together: what stays in the cache of a CPU, or fills another device."""
    budget = 4 << 20 if device == "cpu" else 512 << 20
    return max(1, min(images, budget // (entries * itemsize)))


def rows_at_a_time(positions: int, device: str) -> int:
    """How many rows of a matrix are held together, where they are worked on one after the other."""
    return min(256, positions) if device == "cpu" else positions


def parts(images: int, held: int) -> Iterator[tuple[slice, int]]:
    """(slice, size) of all images, `held` at a time."""
    for start in range(0, images, held):
        stop = min(start + held, images)
        yield slice(start, stop), stop - start


def softmax_(logits: Tensor) -> Tensor:
    """Logits to base 2 become, in place, the softmax of their rows; returns log2 of the row sums."""
    top = logits.amax(-1, keepdim=True)
    total = logits.sub_(top).exp2_().sum(-1, keepdim=True)
    logits.mul_(total.reciprocal())  # quotients cost more
    return total.log2_().add_(top)
