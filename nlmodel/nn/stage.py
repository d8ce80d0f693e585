"""The nonlocal stage: one affinity, many sub-blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from nlmodel._arrays import check_choice, check_count, check_number
from nlmodel.errors import DomainError
from nlmodel.nn.averages import AVERAGES, Dense
from nlmodel.nn.block import check_dimension, check_w_init
from nlmodel.nn.choices import AFFINITIES, check_algorithm, check_normalization
from nlmodel.nn.chunks import in_chunks
from nlmodel.nn.embedding import Embedding
from nlmodel.nn.layers import Affine, stacked
from nlmodel.nn.plan import Plan, check_budget, checked_shape, chosen, plan_of
from nlmodel.nn.positions import both_to, check_input, to_rows, wide
from nlmodel.nn.shared import softmax_stage
from nlmodel.nn.sizes import Sizes
from nlmodel.nn.sub_blocks import sub_blocks
from nlmodel.nn.tiles import images_at_a_time
from nlmodel.stability import Certificate


FORMS = ("difference", "sum")


class NonlocalStage(nn.Module):
    """The nonlocal stage: N sub-blocks that share the affinity of the stage's input.

        Z_i^{n+1} = Z_i^n + h (W^n / C_i(X)) sum_j omega(X_i, X_j) (Z_j^n - Z_i^n),    Z^0 = X,   n = 0, ..., N - 1

    Tao et al. 2018, eqs (8)-(9), with W^n = W_Z^n W_g^n applied in the order W_Z (K (W_g Z)).  For any weights
    constants are fixed and, where omega is symmetric, the C-weighted mean of the positions is kept.  form="sum"
    leaves out the Z_i^n: sub-blocks of the original form that share one affinity.

    Parameters
    ----------
    channels : C.
    blocks : N.
    inner : length of theta x, phi x and W_g z; None is C // 2, at least 1.
    form : "difference", eq. (8), or "sum".
    step : h > 0.
    tie : None, or "psd": W^n = B^n (B^n)^T, symmetric and positive semidefinite, with B^n = W_Z^n.
    affinity, normalize, scale, symmetric, dimension, bias, generator : as in `NonlocalBlock`; `bias` is that of theta
        and phi.  Under "size" and "none" the sum over differences is divided by M or nothing.
    w_init : "zero" (W_Z = 0: the stage is the identity at start), "he", or a standard deviation; None is "zero", and
        0.01 for tied weights, whose gradient vanishes at zero.
    algorithm : "auto" (see `plan`), "dense" (the definition), "shared", "fused", "associative" or "sorted".
    memory_budget : None, or the most bytes that `plan(shape).peak` may have: as many images at a time as fit.

    Raises   ChoiceError / DomainError / DtypeError: at construction.  ShapeError / DtypeError: at the call.
    Accuracy as `NonlocalBlock`; for bfloat16 and float16 all sub-blocks run in float32.
    Cost     one affinity and N products with it; "shared" keeps N averages for the backward pass, and none without.
    """

    def __init__(
        self,
        channels: int,
        blocks: int,
        *,
        inner: int | None = None,
        form: str = "difference",
        step: float = 1.0,
        tie: str | None = None,
        affinity: str = "embedded_gaussian",
        normalize: str | None = None,
        scale: bool | float = False,
        symmetric: bool = False,
        w_init: str | float | None = None,
        dimension: int = 2,
        bias: bool = False,
        algorithm: str = "auto",
        memory_budget: int | None = None,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.channels = check_count(channels, "channels", at_least=1)
        self.blocks = check_count(blocks, "blocks", at_least=1)
        self.inner = check_count(max(1, channels // 2) if inner is None else inner, "inner", at_least=1)
        self.dimension = check_dimension(dimension)
        self.form = check_choice(form, "form", FORMS)
        self.step = check_number(step, "step", above=0.0)
        self.tie = None if tie is None else check_choice(tie, "tie", ("psd",))
        check_choice(affinity, "affinity", AFFINITIES)
        self.normalize = check_normalization(affinity, normalize, square=True)
        self.algorithm = check_algorithm(algorithm, affinity, self.normalize, stage=True)
        self.memory_budget = check_budget(memory_budget)
        self.w_init = _w_init(w_init, tie)
        self.embedding = Embedding(affinity, channels, self.inner, symmetric=symmetric, scale=scale, bias=bias)
        self.w_z = nn.Parameter(torch.empty(blocks, channels, self.inner))
        self.w_g = None if tie else nn.Parameter(torch.empty(blocks, self.inner, channels))
        self.reset_parameters(generator)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw all weights anew.

        Raises  DomainError: a certified stage, whose weights are computed and cannot be drawn.
        """
        if is_parametrized(self):
            raise DomainError(
                "a certified stage cannot draw its weights anew",
                got="parametrised weights",
                why="w_z and w_g are computed from other parameters, and what is written to them is lost",
                fix="make a new stage and certify that, or torch.nn.utils.parametrize.remove_parametrizations first",
            )
        self.embedding.reset_parameters(generator)
        if self.w_g is not None:
            nn.init.normal_(self.w_g, 0.0, math.sqrt(2.0 / self.channels), generator)
        if self.w_init == "zero":
            nn.init.zeros_(self.w_z)
        else:
            std = math.sqrt(2.0 / self.inner) if isinstance(self.w_init, str) else self.w_init
            nn.init.normal_(self.w_z, 0.0, std, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Z^N, of the shape of x (..., C, *positions)."""
        w_g, w_z = self._weights()
        check_input(x, self.channels, self.dimension, w_z)
        layers = (*self.embedding.layers(), self.embedding.w)
        step = partial(self._step, layers=layers, w_g=w_g, w_z=w_z)
        rows = to_rows(x, self.dimension)
        images = None if self.memory_budget is None else self.plan([int(n) for n in x.shape]).images
        return in_chunks(step, rows, images).reshape(x.shape)

    def affinity(self, x: Tensor) -> Tensor:
        """K(x) by its definition, (..., M, M) in at least float32."""
        check_input(x, self.channels, self.dimension, self.w_z)
        left, right = self.embedding(to_rows(x, self.dimension))
        left, right = both_to(wide(left.dtype), left, right)
        with torch.autocast(x.device.type, enabled=False):
            K = Dense.of(self.embedding.affinity, left, right, self.normalize).K
        return K.unflatten(0, x.shape[: -self.dimension - 1]) if x.ndim > self.dimension + 1 else K[0]

    def weight_matrices(self) -> Tensor:
        """W^n = W_Z^n W_g^n, (N, C, C)."""
        w_g, w_z = self._weights()
        return w_z @ w_g

    def certificate(self, x: Tensor) -> Certificate | list[Certificate]:
        """What is certified of the stage for the affinity of x, see `stage_certificate`."""
        from nlmodel.nn.certificate import stage_certificate  # which needs this module

        return stage_certificate(self, x)

    def plan(self, input_shape: Sequence[int]) -> Plan:
        """Algorithm, operations, traffic and peak memory for an input of this shape (..., C, *positions)."""
        batch, positions = checked_shape(input_shape, self.channels, self.dimension)
        weight = next(self.parameters())  # w_z itself may be computed
        sizes = self._sizes(batch, math.prod(positions), weight)
        kind, how = self.embedding.affinity, self.normalize
        return plan_of(kind, how, self.algorithm, sizes, weight, stage=True, budget=self.memory_budget)

    def extra_repr(self) -> str:
        """What a reader wants to see of the stage."""
        return (
            f"channels={self.channels}, blocks={self.blocks}, inner={self.inner}, form={self.form!r}, "
            f"step={self.step:g}, tie={self.tie!r}, affinity={self.embedding.affinity!r}, "
            f"normalize={self.normalize!r}, dimension={self.dimension}, algorithm={self.algorithm!r}"
        )

    def _weights(self) -> tuple[Tensor, Tensor]:
        """W_g and W_Z, each read once: parametrised ones are computed at each look."""
        w_z = self.w_z
        return (w_z.mT if self.tie else self.w_g), w_z  # pyright: ignore[reportReturnType]

    def _sizes(self, batch: int, positions: int, weight: Tensor) -> Sizes:
        C, E, N = self.channels, self.embedding, self.blocks
        embedded = 0 if E.theta is None else 1 if E.phi is None else 2
        layers = 2 * batch * positions * C * self.inner * (embedded + 2 * N)
        layers += 4 * batch * positions * self.inner if E.affinity == "concatenation" else 0
        compared = 1 if E.affinity == "concatenation" else E.width
        held = images_at_a_time(batch, positions**2, weight.element_size(), weight.device.type)
        return Sizes(batch, positions, positions, compared, self.inner, N, channels=C, layers=layers, held=held)

    def _step(self, rows: Tensor, *, layers: tuple, w_g: Tensor, w_z: Tensor) -> Tensor:
        """Z^N as (B, C, M)."""
        kind, how, difference = self.embedding.affinity, self.normalize, self.form == "difference"
        sizes = self._sizes(1, rows.shape[1], w_z)
        algorithm = chosen(kind, how, self.algorithm, sizes, rows.device.type, stage=True)
        theta, phi, w = layers
        if algorithm == "shared":
            return self._shared(rows, theta, phi, w_g, w_z)
        left, right = self.embedding.of(rows, theta, phi, w)
        with torch.autocast(rows.device.type, enabled=False):
            left, right = both_to(wide(left.dtype), left, right)
            Z, w_g, w_z = (t.to(left.dtype) for t in (rows, w_g, w_z))
            average = AVERAGES[algorithm].of(kind, left, right, how)
            return sub_blocks(average, Z, w_g, w_z, self.step, difference).to(rows.dtype).mT

    def _shared(self, rows: Tensor, theta: Affine | None, phi: Affine | None, w_g: Tensor, w_z: Tensor) -> Tensor:
        exact, sides = wide(rows.dtype), 1 if phi is theta else 2
        embedding = bias = None
        if theta is not None and phi is not None:
            embedding, bias = stacked([theta, phi][:sides]).to(exact)
        with torch.autocast(rows.device.type, enabled=False):
            g, w = w_g.to(exact), w_z.to(exact)
            if self.inner >= self.channels:  # no shorter than x: W = W_Z W_g is the cheaper order
                g, w = None, w @ g
            out, _, _ = softmax_stage(
                rows.mT.to(exact), embedding, bias, g, w, sides, self.embedding.scale, self.step,
                self.form == "difference", torch.is_grad_enabled(),
            )  # fmt: skip
        return out.to(rows.dtype)


def _w_init(w_init: str | float | None, tie: str | None) -> str | float:
    if tie is None:
        return check_w_init("zero" if w_init is None else w_init)
    if w_init == "zero":
        raise DomainError(
            "tied weights cannot start at zero",
            got="w_init='zero' with tie='psd'",
            why="the gradient of B B^T vanishes at B = 0, so that training would never move it",
            fix="leave w_init out, or give a small standard deviation",
        )
    return check_w_init(0.01 if w_init is None else w_init)
