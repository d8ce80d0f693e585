"""The averages of the Gaussian block, a few images' matrices at a time, with a factor that is symmetric.

Registered as an operator of its own, so that a compiled graph takes it as one node.  Y = K V with K = softmax(X X^T)
and V = X W_g^T.  With a_i = |x_i|^2 / 2,

    E_ij = exp(x_i.x_j - a_i - a_j) = exp(-|x_i - x_j|^2 / 2) <= 1,    K_ij = E_ij u_j / c_i,   u = exp(a),   c = E u:

no row needs its maximum, and K is not formed.  With d_i = dY_i . Y_i, backwards dV = u * (E (dY / c)), and of
dS_ij = K_ij (dY_i . V_j - d_i) only dS + dS^T is needed, which has E as a common factor:

    dX = (dS + dS^T) X + dV W_g,   (dS + dS^T)_ij = E_ij (p_i . q_j),

    p = [u V, dY/c, -u, -d/c],   q = [dY/c, u V, d/c, u],

so that one product with an M x M matrix takes the place of two.  Where the |x_i| of an image are so far apart that
the u_i leave the range of numbers, K, dS and dS^T are formed.
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from nlmodel.nn.second_order import gradients
from nlmodel.nn.tiles import LOG2_E, images_at_a_time, parts, softmax_


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
    Cost     2 B M^2 (C + r) operations; memory of the affinities of a few images.
    """
    B, M, _ = X.shape
    held = images_at_a_time(B, M, X.element_size(), X.device.type)
    Y, c, E = X.new_empty(B, M, len(w_g)), X.new_empty(B, M, 1), X.new_empty(held, M, M)
    for part, size in parts(B, held):
        v = X[part] @ w_g.mT
        u = _factor(X[part], scale, E[:size])
        if u is None:
            _softmax(X[part], scale, E[:size])
            torch.bmm(E[:size], v, out=Y[part])
        else:
            torch.bmm(E[:size], u, out=c[part])
            torch.bmm(E[:size], v.mul_(u), out=Y[part]).div_(c[part])
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
    held = images_at_a_time(B, M, X.element_size(), X.device.type)
    dX, d_g, E, H = X.new_empty(X.shape), w_g.new_zeros(w_g.shape), *(X.new_empty(held, M, M) for _ in range(2))
    for part, size in parts(B, held):
        x, dy, e, h = X[part], grad[part], E[:size], H[:size]
        v, d, u = x @ w_g.mT, (dy * Y[part]).sum(-1, keepdim=True), _factor(x, scale, e)
        if u is None:
            _softmax(x, scale, e)
            dv = torch.bmm(e.mT, dy)
            torch.bmm(dy, v.mT, out=h).sub_(d).mul_(e)
            dx = torch.baddbmm(torch.bmm(h, x), h.mT, x, alpha=scale, beta=scale)
        else:
            dy, d, v = dy / c[part], d / c[part], v.mul_(u)
            dv = torch.bmm(e, dy).mul_(u)
            torch.bmm(torch.cat([v, dy, -u, -d], -1), torch.cat([dy, v, d, u], -1).mT, out=h).mul_(e)
            dx = torch.bmm(h, x).mul_(scale)
        torch.baddbmm(dx, dv, w_g.expand(size, -1, -1), out=dX[part])
        d_g.addmm_(dv.flatten(0, 1).mT, x.reshape(-1, C))
    return dX, d_g


@symmetric_average_backward.register_fake
def _(grad: Tensor, X: Tensor, w_g: Tensor, Y: Tensor, c: Tensor, scale: float):
    return X.new_empty(X.shape), w_g.new_empty(w_g.shape)


def _factor(x: Tensor, scale: float, E: Tensor) -> Tensor | None:
    """Write 2^LIFT E; return u up to a factor, (B, M, 1), or None where the u_i would leave the range of numbers."""
    z = x.mT * math.sqrt(scale * LOG2_E)
    a = (z * z).sum(-2, keepdim=True) / 2
    low, high = a.amin(-1, keepdim=True), a.amax(-1, keepdim=True)
    if not float((high - low).amax()) <= WIDEST:  # NaN too
        return None
    a, one = a - LIFT / 2, torch.ones_like(a)
    torch.bmm(torch.cat([z, one, a], -2).mT, torch.cat([z, -a, -one], -2), out=E).exp2_()
    return torch.exp2(a + (LIFT - low - high) / 2).mT


def _softmax(x: Tensor, scale: float, K: Tensor) -> None:
    torch.bmm(x * (scale * LOG2_E), x.mT, out=K)
    softmax_(K)


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
