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

from nlmodel.nn.second_order import gradients
from nlmodel.nn.tiles import LOG2_E, images_at_a_time, parts, rows_at_a_time, softmax_


WIDEST = 64.0  # bits between the largest and the least a_i
LIFT = 60.0  # bits by which E is held larger: it then stays a normal number where K exceeds 2^-120


@torch.library.custom_op("nlmodel::symmetric_average", mutates_args=())
def symmetric_average(X: Tensor, w_g: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """softmax(s X X^T) X W_g^T, and c (or anything, where K was formed).

    Parameters
    ----------
    X : (B, M, C) tensor.
    w_g : (r, C) tensor.
    scale : s.

    Returns  (B, M, r) and (B, M, 1) tensors.
    Cost     B M^2 (C + 2 r) operations; memory of some rows of the affinities of a few images.
    """
    (B, M, _), r = X.shape, len(w_g)
    Y, c = X.new_empty(B, M, r), X.new_empty(B, M, 1)
    tiles = Tiles.of(X)
    for part, size in parts(B, tiles.images):
        x = X[part]
        v, found = x @ w_g.mT, Factor.of(x, scale)
        if found is None:
            for rows in tiles.spans(M):
                Y[part, rows] = _softmax(x, rows, scale, tiles) @ v
            continue
        v, sums = torch.cat([v.mul_(found.u), found.u], -1), v.new_zeros(size, M, r + 1)
        for at, E in found.rows(tiles):
            at.apply(E, v, sums)
        c[part] = sums[..., r:]
        Y[part] = sums[..., :r].div_(sums[..., r:])
    return Y, c


@symmetric_average.register_fake
def _(X: Tensor, w_g: Tensor, scale: float):
    return X.new_empty(*X.shape[:-1], len(w_g)), X.new_empty(*X.shape[:-1], 1)


@torch.library.custom_op("nlmodel::symmetric_average_backward", mutates_args=())
def symmetric_average_backward(
    grad: Tensor, X: Tensor, w_g: Tensor, Y: Tensor, c: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    """Gradients for X and w_g; formulas at the head of this file."""
    B, M, C = X.shape
    dX, d_g, tiles, products = X.new_zeros(X.shape), w_g.new_zeros(w_g.shape), Tiles.of(X), Tiles.of(X)
    for part, size in parts(B, tiles.images):
        x, dy, dx = X[part], grad[part], dX[part]
        v, d, found = x @ w_g.mT, (dy * Y[part]).sum(-1, keepdim=True), Factor.of(x, scale)
        dv = torch.zeros_like(v)
        if found is None:
            for rows in tiles.spans(M):
                K = _softmax(x, rows, scale, tiles)
                dv.baddbmm_(K.mT, dy[:, rows])
                dS = torch.bmm(dy[:, rows], v.mT, out=products.like(K)).sub_(d[:, rows]).mul_(K)
                dx[:, rows].baddbmm_(dS, x)
                dx.baddbmm_(dS.mT, x[:, rows])
        else:
            u = found.u
            dy, d, v = dy / c[part], d / c[part], v.mul_(u)
            p, q = torch.cat([v, dy, -u, -d], -1), torch.cat([dy, v, d, u], -1).mT
            for at, E in found.rows(tiles):
                at.apply(E, dy, dv)
                both = torch.bmm(p[:, at.rows], q[..., at.columns], out=products.like(E)).mul_(E)
                at.apply(both, x, dx)
            dv.mul_(u)
        torch.baddbmm(dx, dv, w_g.expand(size, -1, -1), beta=scale, out=dx)
        d_g.addmm_(dv.flatten(0, 1).mT, x.reshape(-1, C))
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
        """For the positions of X (B, M, C)."""
        B, M, _ = X.shape
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
        """Add what the part and its mirror image contribute to S V."""
        height = self.rows.stop - self.rows.start
        sums[:, self.rows].baddbmm_(S, V[:, self.columns])
        sums[:, self.rows.stop :].baddbmm_(S[..., height:].mT, V[:, self.rows])


class Factor(NamedTuple):
    """2^LIFT E as exp2(left right), and u up to a factor, (B, M, 1)."""

    left: Tensor
    right: Tensor
    u: Tensor

    @classmethod
    def of(cls, x: Tensor, scale: float) -> Factor | None:
        """None where the u_i would leave the range of numbers."""
        z = x.mT * math.sqrt(scale * LOG2_E)
        a = (z * z).sum(-2, keepdim=True) / 2
        low, high = a.amin(-1, keepdim=True), a.amax(-1, keepdim=True)
        if not float((high - low).amax()) <= WIDEST:  # NaN too
            return None
        a, one = a - LIFT / 2, torch.ones_like(a)
        left, right = torch.cat([z, one, a], -2).mT, torch.cat([z, -a, -one], -2)
        return cls(left, right, torch.exp2(a + (LIFT - low - high) / 2).mT)

    def rows(self, tiles: Tiles) -> Iterator[tuple[Rows, Tensor]]:
        """All rows of the matrix, some at a time."""
        images, M, _ = self.left.shape
        for rows in tiles.spans(M):
            E = tiles.holding(images, rows.stop - rows.start, M - rows.start)
            torch.bmm(self.left[:, rows], self.right[..., rows.start :], out=E).exp2_()
            yield Rows(rows, slice(rows.start, M)), E


def _softmax(x: Tensor, rows: slice, scale: float, tiles: Tiles) -> Tensor:
    """Rows of K."""
    some = x[:, rows] * (scale * LOG2_E)
    K = torch.bmm(some, x.mT, out=tiles.holding(*some.shape[:-1], x.shape[1]))
    softmax_(K)
    return K


def _setup_context(ctx, inputs, output) -> None:
    X, w_g, ctx.scale = inputs
    ctx.save_for_backward(X, w_g, *output)


def _backward(ctx, grad: Tensor, _: Tensor | None):
    X, w_g, Y, c = ctx.saved_tensors
    if torch.is_grad_enabled():  # create_graph=True
        return *gradients(partial(_definition, ctx.scale), (X, w_g), ctx.needs_input_grad[:2], grad), None
    return *symmetric_average_backward(grad, X, w_g, Y, c, ctx.scale), None


def _definition(scale: float, X: Tensor, w_g: Tensor) -> Tensor:
    return torch.softmax(scale * X @ X.mT, -1) @ (X @ w_g.mT)


symmetric_average.register_autograd(_backward, setup_context=_setup_context)
