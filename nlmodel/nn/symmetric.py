"""The averages of the Gaussian block, some rows of a few images' matrices at a time, with a factor that is symmetric.

Registered as an operator of its own, so that a compiled graph takes it as one node.  Y = K V with K = softmax(X X^T)
and V = X W_g^T.  With a_i = |x_i|^2 / 2,

    E_ij = exp(x_i.x_j - a_i - a_j) = exp(-|x_i - x_j|^2 / 2) <= 1,    K_ij = E_ij u_j / c_i,   u = exp(a),   c = E u:

no row needs its maximum, and K is not formed.  With d_i = dY_i . Y_i, backwards dV = u * (E (dY / c)), and of
dS_ij = K_ij (dY_i . V_j - d_i) only dS + dS^T is needed, which has E as a common factor:

    dX = (dS + dS^T) X + dV W_g,   (dS + dS^T)_ij = E_ij (p_i . q_j),

    p = [u V, dY/c, -u, -d/c],   q = [dY/c, u V, d/c, u],

so that one product with an M x M matrix takes the place of two; and of E and of dS + dS^T only the part from the
diagonal on is formed, which serves as its own mirror image.  Where the |x_i| of an image are so far apart that the u_i
leave the range of numbers, the rows of K and dS are formed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from nlmodel.nn.precision import outside_autocast
from nlmodel.nn.second_order import gradients
from nlmodel.nn.tiles import LOG2_E, images_at_a_time, parts, rows_at_a_time, softmax_


WIDEST = 64.0  # bits between the largest and the least a_i
LIFT = 60.0  # bits by which E is held larger: it then stays a normal number where K exceeds 2^-120


@torch.library.custom_op("nlmodel::symmetric_average", mutates_args=())
def symmetric_average(X: Tensor, w_g: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Y^T of K = softmax(s X X^T) and V = X W_g^T from X^T, and c (or anything, where K was formed).

    Parameters
    ----------
    X : (B, C, M) tensor, channels first like everything here.
    w_g : (r, C) tensor.
    scale : s.

    Returns  (B, r, M) and (B, 1, M) tensors.
    Cost     B M^2 (C + 2 r) operations; memory of some rows of the affinities of a few images.
    """
    (B, _, M), r = X.shape, len(w_g)
    Y, c = X.new_empty(B, r, M), X.new_empty(B, 1, M)
    tiles = Tiles.of(X)
    for part, size in parts(B, tiles.images):
        x = X[part]
        v, found = torch.bmm(w_g.expand(size, -1, -1), x), Factor.of(x, scale)
        if found is None:
            for rows in tiles.spans(M):
                Y[part, :, rows] = torch.bmm(v, _softmax(x, rows, scale, tiles).mT)
            continue
        v, sums = torch.cat([v.mul_(found.u), found.u], 1), v.new_zeros(size, r + 1, M)
        for at, E in found.rows(tiles):
            at.apply(E, v, sums)
        c[part] = sums[:, r:]
        torch.div(sums[:, :r], sums[:, r:], out=Y[part])
    return Y, c


@symmetric_average.register_fake
def _(X: Tensor, w_g: Tensor, scale: float):
    (B, _, M), r = X.shape, len(w_g)
    return X.new_empty(B, r, M), X.new_empty(B, 1, M)


@torch.library.custom_op("nlmodel::symmetric_average_backward", mutates_args=())
def symmetric_average_backward(
    grad: Tensor, X: Tensor, w_g: Tensor, Y: Tensor, c: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    """Gradients for X and w_g; formulas at the head of this file."""
    B, C, M = X.shape
    dX, d_g, tiles, products = X.new_zeros(B, C, M), w_g.new_zeros(w_g.shape), Tiles.of(X), Tiles.of(X)
    for part, size in parts(B, tiles.images):
        x, dy, dx, weights = X[part], grad[part], dX[part], w_g.expand(size, -1, -1)
        v, d, found = torch.bmm(weights, x), (dy * Y[part]).sum(1, keepdim=True), Factor.of(x, scale)
        dv = torch.zeros_like(v)
        if found is None:
            for rows in tiles.spans(M):
                K = _softmax(x, rows, scale, tiles)
                dv.baddbmm_(dy[..., rows], K)
                dS = torch.bmm(dy[..., rows].mT, v, out=products.like(K)).sub_(d[..., rows].mT).mul_(K)
                dx[..., rows].baddbmm_(x, dS.mT)
                dx.baddbmm_(x[..., rows], dS)
        else:
            u = found.u
            dy, d, v = dy / c[part], d / c[part], v.mul_(u)
            p, q = torch.cat([v, dy, -u, -d], 1).mT, torch.cat([dy, v, d, u], 1)
            for at, E in found.rows(tiles):
                at.apply(E, dy, dv)
                both = torch.bmm(p[:, at.rows], q[..., at.columns], out=products.like(E)).mul_(E)
                at.apply(both, x, dx)
            dv.mul_(u)
        torch.baddbmm(dx, weights.mT, dv, beta=scale, out=dx)
        d_g += torch.bmm(dv, x.mT).sum(0)
    return dX, d_g


@symmetric_average_backward.register_fake
def _(grad: Tensor, X: Tensor, w_g: Tensor, Y: Tensor, c: Tensor, scale: float):
    return X.new_empty(X.shape), w_g.new_empty(w_g.shape)


class Tiles(NamedTuple):
    """Memory for some rows of the matrices of a few images."""

    images: int
    height: int
    memory: Tensor

    @classmethod
    def of(cls, X: Tensor) -> Tiles:
        """For the positions of X (B, C, M)."""
        B, _, M = X.shape
        height = rows_at_a_time(M, X.device.type)
        images = images_at_a_time(B, height * M, X.element_size(), X.device.type)
        return cls(images, height, X.new_empty(images * height * M))

    def spans(self, M: int) -> list[slice]:
        """All rows of M, `height` at a time."""
        return [slice(start, min(start + self.height, M)) for start in range(0, M, self.height)]

    def holding(self, *shape: int) -> Tensor:
        """The first of its numbers."""
        return self.memory[: math.prod(shape)].view(shape)

    def like(self, other: Tensor) -> Tensor:
        """The first of its numbers, as many as those of another."""
        return self.holding(*other.shape)


class Rows(NamedTuple):
    """Which part of a symmetric matrix is at hand: from the diagonal on, for it is all there is to know of the rows."""

    rows: slice
    columns: slice

    def apply(self, S: Tensor, V: Tensor, sums: Tensor) -> None:
        """Add what the part and its mirror image contribute to V S, (B, channels, M)."""
        height = self.rows.stop - self.rows.start
        sums[..., self.rows] += torch.bmm(V[..., self.columns], S.mT)
        sums[..., self.rows.stop :] += torch.bmm(V[..., self.rows], S[..., height:])


class Factor(NamedTuple):
    """2^LIFT E as exp2(left right), and u up to a factor, (B, 1, M)."""

    left: Tensor
    right: Tensor
    u: Tensor

    @classmethod
    def of(cls, x: Tensor, scale: float) -> Factor | None:
        """None where the u_i would leave the range of numbers."""
        z = x * math.sqrt(scale * LOG2_E)
        a = (z * z).sum(-2, keepdim=True) / 2
        low, high = a.amin(-1, keepdim=True), a.amax(-1, keepdim=True)
        if not float((high - low).amax()) <= WIDEST:  # NaN too
            return None
        a, one = a - LIFT / 2, torch.ones_like(a)
        left, right = torch.cat([z, one, a], -2).mT, torch.cat([z, -a, -one], -2)
        return cls(left, right, torch.exp2(a + (LIFT - low - high) / 2))

    def rows(self, tiles: Tiles) -> Iterator[tuple[Rows, Tensor]]:
        """All rows of the matrix, some at a time."""
        images, M, _ = self.left.shape
        for rows in tiles.spans(M):
            E = tiles.holding(images, rows.stop - rows.start, M - rows.start)
            torch.bmm(self.left[:, rows], self.right[..., rows.start :], out=E).exp2_()
            yield Rows(rows, slice(rows.start, M)), E


def _softmax(x: Tensor, rows: slice, scale: float, tiles: Tiles) -> Tensor:
    """Rows of K."""
    some = (x[..., rows] * (scale * LOG2_E)).mT
    K = torch.bmm(some, x, out=tiles.holding(*some.shape[:-1], x.shape[-1]))
    softmax_(K)
    return K


def _setup_context(ctx, inputs, output) -> None:
    X, w_g, ctx.scale = inputs
    ctx.save_for_backward(X, w_g, *output)


def _backward(ctx, grad: Tensor, _: Tensor | None):
    X, w_g, Y, c = ctx.saved_tensors
    with outside_autocast(grad):
        if torch.is_grad_enabled():  # create_graph=True
            return *gradients(partial(_definition, ctx.scale), (X, w_g), ctx.needs_input_grad[:2], grad), None
        return *symmetric_average_backward(grad, X, w_g, Y, c, ctx.scale), None


def _definition(scale: float, X: Tensor, w_g: Tensor) -> Tensor:
    return (w_g @ X) @ torch.softmax(scale * X.mT @ X, -1).mT


symmetric_average.register_autograd(_backward, setup_context=_setup_context)
