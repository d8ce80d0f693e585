"""Which algorithm a block or a stage runs on an input of a given shape, what it costs, and why it was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nlmodel._arrays import check_count
from nlmodel.errors import ShapeError
from nlmodel.nn.choices import exact_algorithms


@dataclass(frozen=True)
class Plan:
    """An algorithm and its cost for one forward pass.

    Attributes
    ----------
    algorithm : its name.
    flops : floating-point operations of all matrix products; for "sorted" also of the prefix sums.
    bytes : memory traffic of applying the affinity, each operand of each product read or written once.
    peak : bytes of the M x N matrices (none, for most), features and averages that exist together in training.
    reason : why it was chosen.
    """

    algorithm: str
    flops: int
    bytes: int
    peak: int
    reason: str

    def __repr__(self) -> str:
        return (
            f"Plan({self.algorithm!r}, {self.flops / 1e9:.3g} GFLOP, {self.bytes / 2**20:.3g} MiB moved, "
            f"{self.peak / 2**20:.3g} MiB peak: {self.reason})"
        )


@dataclass(frozen=True)
class Sizes:
    """What the cost depends on: B images, M receivers, N senders, D compared features, r averaged ones, n averages."""

    batch: int
    receivers: int
    senders: int
    compared: int
    averaged: int
    times: int = 1

    @property
    def entries(self) -> int:
        """Entries of all M x N matrices."""
        return self.batch * self.receivers * self.senders

    @property
    def features(self) -> int:
        """Entries of both sides, of the averaged features and of the averages."""
        M, N = self.receivers, self.senders
        return self.batch * ((M + N) * self.compared + self.times * (M + N) * self.averaged)


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


def chosen(affinity: str, how: str, asked: str, sizes: Sizes, *, stage: bool = False) -> tuple[str, str]:
    """The algorithm and the reason: the one asked for, or the cheapest exact one."""
    if asked != "auto":
        return asked, "as asked"
    exact = exact_algorithms(affinity, how, stage=stage)
    if exact == ("dense",):
        return "dense", f"no other exact algorithm for {affinity} with normalize={how!r}"
    if "shared" in exact:
        return "shared", "the affinity is found once an image and serves every sub-block"
    if "fused" in exact:
        return "fused", "only the average is wanted, so the M x N matrix need not exist"
    fast = exact[1]
    dense, other = (flops_of(name, affinity, sizes) for name in ("dense", fast))
    if other <= dense:
        return fast, f"{other:.3g} operations against {dense:.3g} with the M x N matrix"
    return "dense", f"few positions: {dense:.3g} operations against {other:.3g} by {fast!r}"


def plan_of(
    affinity: str,
    how: str,
    asked: str,
    sizes: Sizes,
    layers: int,
    itemsize: int,
    *,
    stage: bool = False,
    stored: int = 0,
) -> Plan:
    """The plan for these sizes.

    Parameters
    ----------
    layers : operations of the 1x1 convolutions.
    itemsize : bytes of a number.
    stored : M x N matrices that "shared" holds at a time, in images.
    """
    algorithm, reason = chosen(affinity, how, asked, sizes, stage=stage)
    flops = layers + flops_of(algorithm, affinity, sizes)
    matrices = {"dense": sizes.entries * (2 + sizes.times), "shared": sizes.entries * (2 + sizes.times)}
    held = {"dense": 2 * sizes.entries, "shared": 2 * min(stored, sizes.batch) * sizes.receivers * sizes.senders}
    traffic = itemsize * (matrices.get(algorithm, 0) + sizes.features)
    return Plan(algorithm, flops, traffic, itemsize * (held.get(algorithm, 0) + sizes.features), reason)


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
