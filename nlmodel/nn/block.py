"""The original nonlocal block."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nlmodel._arrays import check_choice, check_count, check_number
from nlmodel.errors import DomainError, DtypeError
from nlmodel.nn.averages import AVERAGES, Dense
from nlmodel.nn.choices import AFFINITIES, check_algorithm, check_normalization
from nlmodel.nn.embedding import Embedding, he_
from nlmodel.nn.plan import Plan, Sizes, checked_shape, chosen, plan_of
from nlmodel.nn.positions import check_input, from_rows, pool_rows, pooled_sizes, to_rows, wide


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
    algorithm : "auto" (see `plan`), "dense" (the definition), "fused", "associative" or "sorted".
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
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.channels = check_count(channels, "channels", at_least=1)
        self.inner = check_count(max(1, channels // 2) if inner is None else inner, "inner", at_least=1)
        self.dimension = check_dimension(dimension)
        self.subsample = None if subsample is None else check_choice(subsample, "subsample", ("before", "after"))
        check_choice(affinity, "affinity", AFFINITIES)
        self.normalize = check_normalization(affinity, normalize, square=subsample is None)
        self.algorithm = check_algorithm(algorithm, affinity, self.normalize)
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
        check_input(x, self.channels, self.dimension, self.g.weight)
        rows = to_rows(x, self.dimension)
        left, right, values = self._features(rows, tuple(x.shape[-self.dimension :]))
        kind, how = self.embedding.affinity, self.normalize
        algorithm, _ = chosen(kind, how, self.algorithm, self._sizes(left, values))
        exact = left.dtype if algorithm == "fused" else wide(left.dtype)  # fused attention accumulates in float32
        with torch.autocast(x.device.type, enabled=False):
            average = AVERAGES[algorithm].of(kind, left.to(exact), right.to(exact), how)
            averages = average(values.to(exact)).to(values.dtype)
        change = self.w_z(averages)
        if self.norm is not None:
            change = self.norm(change.flatten(0, 1)).view_as(change)
        return x + from_rows(change.to(x.dtype), x.shape)

    def affinity(self, x: Tensor) -> Tensor:
        """K(x) by its definition, (..., M, N) in at least float32: row i weighs what position i receives."""
        check_input(x, self.channels, self.dimension, self.g.weight)
        left, right, _ = self._features(to_rows(x, self.dimension), tuple(x.shape[-self.dimension :]))
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
        M = math.prod(positions)
        N = math.prod(pooled_sizes(positions)) if self.subsample else M
        inputs = N if self.subsample == "before" else M
        sizes = Sizes(batch, M, N, self._compared, self.inner)
        C, r, E = self.channels, self.inner, self.embedding
        embedded = 0 if E.theta is None else M + (0 if E.phi is None and self.subsample != "before" else inputs)
        layers = 2 * batch * r * C * (embedded + inputs + M)
        layers += 2 * batch * r * (M + N) if E.affinity == "concatenation" else 0
        itemsize = self.g.weight.element_size()
        return plan_of(E.affinity, self.normalize, self.algorithm, sizes, layers, itemsize)

    def extra_repr(self) -> str:
        """What a reader wants to see of the block."""
        return (
            f"channels={self.channels}, inner={self.inner}, affinity={self.embedding.affinity!r}, "
            f"normalize={self.normalize!r}, dimension={self.dimension}, algorithm={self.algorithm!r}"
        )

    @property
    def _compared(self) -> int:
        return 1 if self.embedding.affinity == "concatenation" else self.embedding.width

    def _sizes(self, left: Tensor, values: Tensor) -> Sizes:
        return Sizes(left.shape[0], left.shape[-2], values.shape[-2], self._compared, self.inner)

    def _features(self, rows: Tensor, positions: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
        """Both sides of the affinity, and W_g x at the senders."""
        E = self.embedding
        senders = pool_rows(rows, positions) if self.subsample == "before" else rows
        theta = E.receivers(rows)
        phi = theta if E.phi is None and senders is rows else E.senders(senders)
        values = self.g(senders)
        if self.subsample == "after":
            phi, values = pool_rows(phi, positions), pool_rows(values, positions)
        return *E.sides(theta, phi), values


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
