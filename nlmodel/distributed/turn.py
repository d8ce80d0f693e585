"""Sums over the positions of all processes, with gradients: one turn of the ring forward, one backward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nlmodel.distributed.ring import Ring
from nlmodel.distributed.rules import Rule


TILES = {"cpu": 512, "cuda": 4096}  # rows and columns: the cache of a core, and enough work for a GPU


def sum_over_all(ring: Ring, rule: Rule, here: tuple[Tensor, ...], there: tuple[Tensor, ...]) -> Tensor:
    """The sum of `rule` at the positions of this process over the positions of all.

    Parameters
    ----------
    here, there : (m, *) tensors, columns of the receivers and of the senders; these go round the ring.

    Returns  (m, C) tensor; gradients with respect to all columns, once.
    Cost     O(m M) entries of the affinity, forward; again, with their derivatives, backward.  Memory for three parts
             of the senders and one tile.
    """
    total: Any = Turn.apply(ring, rule, len(here), *here, *there)
    return total


class Turn(torch.autograd.Function):
    """`sum_over_all`.  The backward turn finds each tile again; the gradients of the senders follow them home."""

    @staticmethod
    def forward(ctx: Any, ring: Ring, rule: Rule, split: int, *columns: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        here, there = columns[:split], columns[split:]
        widths = [c.shape[1] for c in there]
        found: list[Tensor] = []

        def work(part: Tensor) -> None:
            senders = part.split(widths, 1)
            for number, rows in enumerate(tiles(here[0])):
                receivers = [c[rows] for c in here]
                for those in tiles(part):
                    added = rule.tile(*receivers, *(c[those] for c in senders))
                    if number < len(found):
                        found[number] = rule.join(found[number], added)
                    else:
                        found.append(added)

        ring.turn(torch.cat(there, 1), work)
        total = torch.cat(found)
        ctx.ring, ctx.rule, ctx.split = ring, rule, split
        ctx.save_for_backward(*columns, total)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        *columns, total = ctx.saved_tensors
        wanted = ctx.needs_input_grad[3:]
        here, there = columns[: ctx.split], columns[ctx.split :]
        widths = [c.shape[1] for c in there]
        found = [torch.zeros_like(c) if asked else None for c, asked in zip(here, wanted, strict=False)]
        asked_there = wanted[ctx.split :]

        def work(part: Tensor) -> Tensor | None:
            senders = part.split(widths, 1)
            sums = [torch.zeros_like(c) if asked else None for c, asked in zip(senders, asked_there, strict=True)]
            for rows in tiles(here[0]):
                for those in tiles(part):
                    leaves = [c[rows].detach() for c in here] + [c[those].detach() for c in senders]
                    targets = [x[rows] if x is not None else None for x in found]
                    targets += [x[those] if x is not None else None for x in sums]
                    _add_gradients(ctx.rule, leaves, targets, gradients[0][rows], total[rows])
            kept = [x for x in sums if x is not None]
            return torch.cat(kept, 1) if kept else None

        home = [width for width, asked in zip(widths, asked_there, strict=True) if asked]
        sums = ctx.ring.turn(torch.cat(there, 1), work, sum(home))
        parts = iter(sums.split(home, 1) if sums is not None else ())
        return None, None, None, *found, *(next(parts) if asked else None for asked in asked_there)


def _add_gradients(
    rule: Rule, leaves: list[Tensor], targets: list[Tensor | None], gradient: Tensor, total: Tensor
) -> None:
    """Add to each of the `targets` (None where no gradient is wanted) what one tile gives."""
    pairs = [(leaf.requires_grad_(), x) for leaf, x in zip(leaves, targets, strict=True) if x is not None]
    with torch.enable_grad():
        tile = rule.tile(*leaves)
    if tile.requires_grad:  # a kernel may not depend on its points at all
        cotangent = rule.cotangent(gradient, tile.detach(), total)
        found = torch.autograd.grad(tile, [leaf for leaf, _ in pairs], cotangent, materialize_grads=True)
        for (_, x), part in zip(pairs, found, strict=True):
            x += part


def tiles(x: Tensor) -> list[slice]:
    """The rows of `x`, some at a time."""
    size = TILES.get(x.device.type, TILES["cpu"])
    return [slice(start, min(start + size, len(x))) for start in range(0, len(x), size)]
