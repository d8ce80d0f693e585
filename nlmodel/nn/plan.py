"""Which algorithm a block or a stage runs on an input of a given shape, what it costs, and why it was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from nlmodel._arrays import check_count
from nlmodel.errors import ShapeError
from nlmodel.nn.choices import exact_algorithms
from nlmodel.nn.footprint import images_within
from nlmodel.nn.sizes import Sizes


@dataclass(frozen=True)
class Plan:
    """An algorithm and its cost.

    Attributes
    ----------
    algorithm : its name.
    flops : floating-point operations of all matrix products of a forward pass; for "sorted" also of the prefix sums.
    bytes : memory traffic of applying the affinity, each operand of each product read or written once.
    peak : bytes that a forward and backward pass holds at most, beside the parameters, the input, the output and
        their gradients: an upper bound, at most twice what is allocated, see `entries_held`.
    images : how many images of the batch are worked on together: all, or as many as a memory budget allows.
    reason : why all this was chosen.
    """

    algorithm: str
    flops: int
    bytes: int
    peak: int
    images: int
    reason: str

    def __repr__(self) -> str:
        return (
            f"Plan({self.algorithm!r}, {self.flops / 1e9:.3g} GFLOP, {self.bytes / 2**20:.3g} MiB moved, "
            f"{self.peak / 2**20:.3g} MiB peak, {self.images} image{'s' * (self.images > 1)} at a time: {self.reason})"
        )


def flops_of(algorithm: str, affinity: str, sizes: Sizes) -> int:
    """Operations that find the affinity and apply it `sizes.times` times."""
    both = sizes.receivers + sizes.senders
    D, r, n = sizes.compared, sizes.averaged, sizes.times
    if algorithm == "associative":
        return 2 * sizes.batch * D * (n * r * both + sizes.receivers)
    if algorithm == "sorted":
        return 4 * sizes.batch * both * (n * r + 1)
    if algorithm == "fused":
        return 4 * sizes.entries * n * max(D, r)
    if affinity == "concatenation":
        return 2 * sizes.entries * n * r
    return 2 * sizes.entries * (D + n * r)


def operations(algorithm: str, affinity: str, sizes: Sizes) -> int:
    """Operations of a forward pass, layers included."""
    B, M, C, r, n = sizes.batch, sizes.receivers, sizes.channels, sizes.averaged, sizes.times
    if algorithm == "moments":
        return sizes.moments
    if algorithm == "shared" and r >= C:  # by W = W_Z W_g
        one = replace(sizes, averaged=C, layers=sizes.layers - 2 * n * C * (B * M * (2 * r - C) - C * r))
        return one.layers + flops_of(algorithm, affinity, one)
    return sizes.layers + flops_of(algorithm, affinity, sizes)


def chosen(
    affinity: str, how: str, asked: str, sizes: Sizes, device: str, *, stage: bool = False, square: bool = True
) -> str:
    """The algorithm: the one asked for, or the cheapest exact one on this type of device, whatever the batch."""
    if asked != "auto":
        return asked
    exact = exact_algorithms(affinity, how, stage=stage, square=square)
    if "shared" in exact:
        return "shared"
    if "symmetric" in exact and device == "cpu" and sizes.compared > sizes.averaged:
        return "symmetric"
    if "fused" in exact:
        return "fused"
    costs = [operations(name, affinity, sizes) for name in exact]
    return [name for name, cost in zip(exact, costs, strict=True) if cost == min(costs)][-1]


def reason_for(algorithm: str, exact: tuple[str, ...], affinity: str, how: str, asked: str, sizes: Sizes) -> str:
    """Why it is this one of the `exact` algorithms."""
    if asked != "auto":
        return "as asked"
    reasons = {
        "shared": "the affinity is found once an image and serves every sub-block",
        "symmetric": "keys longer than values, which fused attention pads, and one factor for both gradients",
        "fused": "only the average is wanted, so the M x N matrix need not exist",
    }
    if algorithm in reasons:
        return reasons[algorithm]
    if exact == ("dense",):
        return f"no other exact algorithm for {affinity} with normalize={how!r}"
    dense = operations("dense", affinity, sizes)
    if algorithm != "dense":
        return f"{operations(algorithm, affinity, sizes):.3g} operations against {dense:.3g} with the M x N matrix"
    best = min(exact[1:], key=lambda name: operations(name, affinity, sizes))
    return f"few positions: {dense:.3g} operations against {operations(best, affinity, sizes):.3g} by {best!r}"


def plan_of(
    affinity: str,
    how: str,
    asked: str,
    sizes: Sizes,
    weight: Tensor,
    *,
    stage: bool = False,
    square: bool = True,
    budget: int | None = None,
) -> Plan:
    """The plan for these sizes.

    Parameters
    ----------
    weight : of the module, in its precision and on its device.
    budget : the most bytes its peak may have, or None.

    Raises  DomainError: one image does not fit the budget.
    """
    algorithm = chosen(affinity, how, asked, sizes, weight.device.type, stage=stage, square=square)
    exact = exact_algorithms(affinity, how, stage=stage, square=square)
    reason = reason_for(algorithm, exact, affinity, how, asked, sizes)
    itemsize = weight.element_size()
    matrices = {"dense": 2 + sizes.times, "shared": 2 + sizes.times, "symmetric": 3}.get(algorithm, 0)
    traffic = itemsize * (sizes.entries * matrices + sizes.features)
    images, peak = images_within(budget, algorithm, affinity, how, sizes, itemsize, stage=stage)
    if images < sizes.batch:
        reason += f"; {images} of {sizes.batch} images at a time hold {peak} of the {budget} bytes allowed"
    return Plan(algorithm, operations(algorithm, affinity, sizes), traffic, peak, images, reason)


def checked_shape(shape: Sequence[int], channels: int, dimension: int) -> tuple[int, tuple[int, ...]]:
    """Images and position sizes of an input shape (..., C, *positions)."""
    sizes = tuple(check_count(n, "every entry of input_shape", at_least=1) for n in shape)
    if len(sizes) <= dimension or sizes[-dimension - 1] != channels:
        raise ShapeError(
            f"input_shape must be (..., {channels}, {dimension} position sizes)",
            got=f"{tuple(shape)}",
            why="it is the shape of the tensor that forward() takes",
        )
    images = 1
    for n in sizes[: -dimension - 1]:
        images *= n
    return images, sizes[-dimension:]


def check_budget(budget: int | None) -> int | None:
    """Return `budget` when it is None or a positive number of bytes."""
    return None if budget is None else check_count(budget, "memory_budget", at_least=1)
