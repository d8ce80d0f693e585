"""The original nonlocal block."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nlmodel._arrays import check_choice, check_count, check_number
from nlmodel.errors import DomainError, DtypeError
from nlmodel.nn.averages import AVERAGES, Dense
from nlmodel.nn.choices import AFFINITIES, check_algorithm, check_normalization
from nlmodel.nn.chunks import in_chunks
from nlmodel.nn.embedding import Embedding, he_
from nlmodel.nn.layers import Affine, channels_of, plus_channels_of, rows_of
from nlmodel.nn.moments import moment_block, moment_operations
from nlmodel.nn.plan import Plan, check_budget, checked_shape, chosen, plan_of
from nlmodel.nn.positions import both_to, check_input, pool_rows, pooled_sizes, to_rows, wide
from nlmodel.nn.sizes import Sizes
from nlmodel.nn.symmetric import symmetric_average
from nlmodel.nn.tiles import images_at_a_time, rows_at_a_time


W_INITS = ("zero", "he")


class NonlocalBlock(nn.Module):
    """The original nonlocal block: the identity plus a weighted average over all positions.

        Z_i = X_i + (W_Z / C_i(X)) sum_j omega(X_i, X_j) W_g X_j        Tao et al. 2018, eqs (1)-(4)

    Wang et al. 2018, eqs (1), (6).  Any composition of blocks recomputes omega from its own input.

    Parameters
    ----------
    channels : C.
    inner : length of theta x, phi x and W_g x; None is C // 2, at least 1.
    affinity : "gaussian", "embedded_gaussian", "dot_product" or "concatenation".
    normalize : "softmax" (of exponential affinities the same as "row"), "row", "size", "symmetric" or "none"; None is
        that of Wang et al.: "softmax" of exponential affinities, else "size".  A row whose sum vanishes adds nothing.
    scale : factor of the scalar product; True is one over the square root of the length of its vectors.
    symmetric : phi = theta, Tao et al. 2018, eq. (13).
    subsample : None, or senders max-pooled by two along each spatial axis "before" or "after" phi and W_g: the
        paper of Wang et al. pools after, their code before; the functions differ.
    norm : None, or "batch" for batch normalisation after W_Z.
    w_init : "zero" (the block is the identity at start: W_Z = 0; with a norm layer its scale is 0 and W_Z is He's,
        for with both at 0 neither would ever move), "he", or the standard deviation of a normal law.
    dimension : 1 (sequences), 2 (images) or 3 (clips).
    bias : whether theta, phi, g and W_Z are affine.
    algorithm : "auto" (see `plan`), "dense" (the definition), "fused", "symmetric", "associative", "moments", "sorted".
    memory_budget : None, or the most bytes that `plan(shape).peak` may have: as many images at a time as fit.
    generator : of the initial weights; None is torch's global one.

    Raises   ChoiceError / DomainError / DtypeError: at construction.  ShapeError / DtypeError: at the call.
    Accuracy float64 inputs are computed in float64.  For bfloat16 and float16, autocast too, logits, row sums and
             averages are float32.
    """

    def __init__(
        self,
        channels: int,
        inner: int | None = None,
        *,
        affinity: str = "embedded_gaussian",
        normalize: str | None = None,
        scale: bool | float = False,
        symmetric: bool = False,
        subsample: str | None = None,
        norm: str | None = None,
        w_init: str | float = "zero",
        dimension: int = 2,
        bias: bool = False,
        algorithm: str = "auto",
        memory_budget: int | None = None,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.channels = check_count(channels, "channels", at_least=1)
        self.inner = check_count(max(1, channels // 2) if inner is None else inner, "inner", at_least=1)
        self.dimension = check_dimension(dimension)
        self.subsample = None if subsample is None else check_choice(subsample, "subsample", ("before", "after"))
        check_choice(affinity, "affinity", AFFINITIES)
        self.normalize = check_normalization(affinity, normalize, square=subsample is None)
        self.algorithm = check_algorithm(algorithm, affinity, self.normalize, square=subsample is None)
        self.memory_budget = check_budget(memory_budget)
        self.w_init = check_w_init(w_init)
        self.embedding = Embedding(affinity, channels, self.inner, symmetric=symmetric, scale=scale, bias=bias)
        self.g = nn.Linear(channels, self.inner, bias=bias)
        self.w_z = nn.Linear(self.inner, channels, bias=bias)
        self.norm = nn.BatchNorm1d(channels) if norm is not None and check_choice(norm, "norm", ("batch",)) else None
        self.reset_parameters(generator)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw all weights anew."""
        self.embedding.reset_parameters(generator)
        he_(self.g, generator)
        he_(self.w_z, generator)
        if isinstance(self.w_init, float):
            nn.init.normal_(self.w_z.weight, 0.0, self.w_init, generator)
        elif self.w_init == "zero":
            nn.init.zeros_(self.w_z.weight if self.norm is None else self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        """The block's output, of the shape of x (..., C, *positions)."""
        layers = self._layers()
        check_input(x, self.channels, self.dimension, layers.g.weight)
        step = partial(self._step, layers=layers, positions=tuple(x.shape[-self.dimension :]))
        rows = to_rows(x, self.dimension)
        images = None if self.memory_budget is None else self.plan([int(n) for n in x.shape]).images
        out = in_chunks(step, rows, images)
        if self.norm is not None:
            out = rows.mT + self.norm(out).to(x.dtype)
        return out.reshape(x.shape)

    def affinity(self, x: Tensor) -> Tensor:
        """K(x) by its definition, (..., M, N) in at least float32: row i weighs what position i receives."""
        layers = self._layers()
        check_input(x, self.channels, self.dimension, layers.g.weight)
        left, right, _ = self._features(to_rows(x, self.dimension), layers, tuple(x.shape[-self.dimension :]))
        with torch.autocast(x.device.type, enabled=False):
            exact = wide(left.dtype)
            K = Dense.of(self.embedding.affinity, left.to(exact), right.to(exact), self.normalize).K
        return K.unflatten(0, x.shape[: -self.dimension - 1]) if x.ndim > self.dimension + 1 else K[0]

    def weight_matrix(self) -> Tensor:
        """W = W_Z W_g, (C, C), Tao et al. 2018, eq. (6)."""
        return self.w_z.weight @ self.g.weight

    def plan(self, input_shape: Sequence[int]) -> Plan:
        """Algorithm, operations, traffic and peak memory for an input of this shape (..., C, *positions)."""
        batch, positions = checked_shape(input_shape, self.channels, self.dimension)
        return plan_of(
            self.embedding.affinity, self.normalize, self.algorithm, self._sizes(batch, positions), self.g.weight,
            square=self.subsample is None, budget=self.memory_budget,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """What a reader wants to see of the block."""
        return (
            f"channels={self.channels}, inner={self.inner}, affinity={self.embedding.affinity!r}, "
            f"normalize={self.normalize!r}, dimension={self.dimension}, algorithm={self.algorithm!r}"
        )

    def _sizes(self, batch: int, positions: Sequence[int]) -> Sizes:
        M, E, C, r = math.prod(positions), self.embedding, self.channels, self.inner
        N = math.prod(pooled_sizes(tuple(positions))) if self.subsample else M
        inputs = N if self.subsample == "before" else M
        embedded = 0 if E.theta is None else M + (0 if E.phi is None and self.subsample != "before" else inputs)
        layers = 2 * batch * r * C * (embedded + inputs + M)
        layers += 2 * batch * r * (M + N) if E.affinity == "concatenation" else 0
        moments = moment_operations(batch, M, C, r, affine=self.g.bias is not None)
        compared = 1 if E.affinity == "concatenation" else E.width
        weight = self.w_z.weight
        rows = rows_at_a_time(M, weight.device.type)
        held = images_at_a_time(batch, rows * M, weight.element_size(), weight.device.type)
        return Sizes(batch, M, N, compared, r, channels=C, layers=layers, moments=moments, held=held, rows=rows)

    def _layers(self) -> Layers:
        theta, phi = self.embedding.layers()
        return Layers(theta, phi, self.embedding.w, Affine.of(self.g), Affine.of(self.w_z))

    def _step(self, rows: Tensor, *, layers: Layers, positions: tuple[int, ...]) -> Tensor:
        """What becomes of x, or what the norm layer is to see, (B, C, M)."""
        sizes, residual, square = self._sizes(1, positions), self.norm is None, self.subsample is None
        kind, how, device = self.embedding.affinity, self.normalize, rows.device.type
        algorithm = chosen(kind, how, self.algorithm, sizes, device, square=square)
        if algorithm == "moments" and layers.theta is not None and layers.phi is not None:
            factor = self.embedding.scale / (sizes.senders if how == "size" else 1)
            return moment_block(rows, layers.theta, layers.phi, layers.g, layers.w_z, factor, residual=residual)
        if algorithm == "symmetric":
            averages, w_z = self._gaussian(rows, layers.g), layers.w_z.after(layers.g.bias)  # K 1 = 1
        else:
            averages, w_z = self._averages(algorithm, *self._features(rows, layers, positions)), layers.w_z
        return plus_channels_of(rows, averages, w_z) if residual else channels_of(averages, w_z)

    def _gaussian(self, rows: Tensor, g: Affine) -> Tensor:
        exact = wide(rows.dtype)
        with torch.autocast(rows.device.type, enabled=False):
            averages, _ = symmetric_average(rows.mT.to(exact), g.weight.to(exact), self.embedding.scale)
        return averages.mT.to(rows.dtype)

    def _averages(self, algorithm: str, left: Tensor, right: Tensor, values: Tensor) -> Tensor:
        exact = left.dtype if algorithm == "fused" else wide(left.dtype)  # fused attention accumulates in float32
        with torch.autocast(values.device.type, enabled=False):
            left, right = both_to(exact, left, right)
            average = AVERAGES[algorithm].of(self.embedding.affinity, left, right, self.normalize)
            return average(values.to(exact)).to(values.dtype)

    def _features(self, rows: Tensor, layers: Layers, positions: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
        """Both sides of the affinity, and W_g x at the senders."""
        theta, phi, w, g, _ = layers
        before, after = self.subsample == "before", self.subsample == "after"
        senders = pool_rows(rows, positions) if before else rows
        if theta is None or phi is None:
            receivers, right, (values,) = rows, senders, rows_of(senders, [g])
        elif before:
            (receivers,), (right, values) = rows_of(rows, [theta]), rows_of(senders, [phi, g])
        elif phi is theta:
            receivers, values = rows_of(rows, [theta, g])
            right = receivers
        else:
            receivers, right, values = rows_of(rows, [theta, phi, g])
        if after:
            right, values = pool_rows(right, positions), pool_rows(values, positions)
        return *self.embedding.sides(receivers, right, w), values


class Layers(NamedTuple):
    """All numbers of a block but those of its norm layer, read once."""

    theta: Affine | None
    phi: Affine | None
    w: Tensor | None
    g: Affine
    w_z: Affine


def check_dimension(dimension: int) -> int:
    """Return `dimension` when it is 1, 2 or 3."""
    if check_count(dimension, "dimension", at_least=1) > 3:
        raise DomainError("dimension must be 1, 2 or 3", got=dimension, why="sequences, images, clips")
    return dimension


def check_w_init(w_init: str | float) -> str | float:
    """Return `w_init` when it is a name or a standard deviation."""
    if isinstance(w_init, str):
        return check_choice(w_init, "w_init", W_INITS)
    if isinstance(w_init, bool) or not isinstance(w_init, (int, float)):
        raise DtypeError('w_init must be "zero", "he" or a standard deviation', got=repr(w_init))
    return check_number(w_init, "w_init", above=0.0)
