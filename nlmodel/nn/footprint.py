"""How much memory an algorithm holds, and how many images at a time a budget allows.

The counts are upper bounds, fitted to allocations that were measured: of M x N matrices, and of numbers a position.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from nlmodel.errors import DomainError
from nlmodel.nn.sizes import Sizes


SLACK = 1.05


def entries_held(algorithm: str, affinity: str, how: str, sizes: Sizes, *, stage: bool) -> float:
    """Numbers that a forward and backward pass holds at most, beside input, output and their gradients.

    Accuracy at least what is held, and at most twice that, for inner <= C and 16 x 16 positions or more.
    """
    if algorithm in ("shared", "symmetric"):
        return SLACK * _tiled(algorithm, sizes)
    B, M, N, C, n = sizes.batch, sizes.receivers, sizes.senders, sizes.channels, sizes.times
    r, width, row = sizes.averaged, max(sizes.compared, sizes.averaged), how == "row"
    both = (M + N) / 2
    small = 2 * C * C + 4 * C * r + 3 * r * r  # matrices without positions
    if algorithm == "dense":
        held = B * (M * N * _matrices(affinity, how, n, stage=stage) + both * (5 * r + n * (C + 3 * r) * stage))
    elif algorithm == "moments":
        held = B * (2 * C * M + small)
    elif stage:
        kept = {"fused": C + 5 * width if affinity == "gaussian" else max(2 * C + 2 * r, C + 3 * r)}
        kept["sorted"] = C + (10 if how == "symmetric" else 8) * r
        held = B * M * (6 * width + C + n * (kept.get(algorithm, C + (3 if row else 2) * r) + 8)) + B * small
    elif algorithm == "fused":
        held = B * (8 * width * both + C * M / 2)
    else:
        features = {"associative": 7 if row else 6, "sorted": 13}[algorithm]
        held = B * (both * (max(features * r - C, C) + (C + r) / 8 + 16) + small)
    return SLACK * (held + (_kernel_tiles(M, N) if algorithm == "fused" else 0))


def _kernel_tiles(M: int, N: int) -> int:
    """What torch's fused attention holds on a CPU: two tiles of logits a thread in its backward pass."""
    rows = 256 if M >= 768 else 64 if M >= 192 else 32
    return 2 * min(M, rows) * min(N, 512) * torch.get_num_threads()


def _tiled(algorithm: str, sizes: Sizes) -> float:
    B, M, C, D, n = sizes.batch, sizes.receivers, sizes.channels, sizes.compared, sizes.times
    held = min(sizes.held, B)
    if algorithm == "symmetric":
        r = sizes.averaged
        return B * M * (C + 2 * r) + held * M * (2 * sizes.rows + 10 * r + 4 * C)
    r = min(sizes.averaged, C)
    return B * M * (n * r + 1) + held * M * (2 * M + n * (2 * C + 3 * r) + 10 * D + 2 * C)


def _matrices(affinity: str, how: str, times: int, *, stage: bool) -> float:
    """M x N matrices that the definition and its backward pass hold together."""
    one = {
        ("concatenation", "size"): 3.1,
        ("concatenation", "none"): 3.1,
        ("dot_product", "row"): 4.0,
        ("concatenation", "row"): 4.25,
        ("concatenation", "symmetric"): 5.25,
        ("gaussian", "symmetric"): 5.0,
        ("embedded_gaussian", "symmetric"): 5.0,
    }
    usual = 2.0 if affinity == "dot_product" else 3.0
    if how == "softmax" or (how == "row" and affinity.endswith("gaussian")):
        return max(7.0, 4.0 + times / 2) if stage else 7.0
    return one.get((affinity, how), usual) + (1.0 + times / 2) * stage


def bytes_held(
    algorithm: str, affinity: str, how: str, sizes: Sizes, itemsize: int, images: int, *, stage: bool
) -> int:
    """Bytes that are held when `images` of the batch are worked on together."""
    held = entries_held(algorithm, affinity, how, replace(sizes, batch=images), stage=stage)
    if images < sizes.batch:  # at the end the parts of the gradient stand beside the whole
        weights = 8 * sizes.times * sizes.channels * sizes.averaged
        held = max(held, SLACK * (sizes.batch * sizes.receivers * sizes.channels + weights))
    return int(held * max(itemsize, 4))  # affinities are never in fewer than 32 bits


def images_within(
    budget: int | None, algorithm: str, affinity: str, how: str, sizes: Sizes, itemsize: int, *, stage: bool
) -> tuple[int, int]:
    """The most images at a time that keep within the budget, and the bytes they hold.

    Raises  DomainError: one image does not fit.
    """

    def needed(images: int) -> int:
        return bytes_held(algorithm, affinity, how, sizes, itemsize, images, stage=stage)

    if budget is None or needed(sizes.batch) <= budget:
        return sizes.batch, needed(sizes.batch)
    if needed(1) > budget:
        raise DomainError(
            "memory_budget is too small for one image at a time",
            got=f"{budget} bytes, where {needed(1)} are needed",
            why=f"{algorithm!r} on {sizes.receivers} x {sizes.senders} positions, {sizes.batch} images in the batch",
            fix=f"give at least {needed(1)} bytes, subsample the senders, or pass smaller batches",
        )
    low, high = 1, sizes.batch
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if needed(middle) <= budget else (low, middle)
    return low, needed(low)
