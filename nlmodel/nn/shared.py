"""The nonlocal stage of a softmax affinity: the affinity of a few images at a time, found once for all sub-blocks.

Registered as an operator of its own, so that a compiled graph takes it as one node.  With V_n = Z_n W_g^T,
Y_n = K V_n - V_n (difference form) or K V_n, and Z_{n+1} = Z_n + h Y_n W_Z^T, backwards

    dY_n = h dZ_{n+1} W_Z,   dV_n = K^T dY_n - dY_n,   dZ_n = dZ_{n+1} + dV_n W_g,
    dK = [dY_0 ... dY_{N-1}] [V_0 ... V_{N-1}]^T,      dS = K * dK - d * K,     d = the row sums of K * dK.

The gradient of the affinity is one product of inner length N r instead of N sums of M x M matrices.  Only the Y_n and
the row sums of the affinity are kept: K is found again, Z_n and V_n follow from the Y_n.  Backwards it is K^T and dS^T
that are held, so that most products run along their rows.  What a sub-block adds to its three products with M x M
matrices is what another one costs: its layers write where the products read, and the gradients of all weights are
found together.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from nlmodel.nn.averages import Dense
from nlmodel.nn.precision import outside_autocast
from nlmodel.nn.second_order import gradients
from nlmodel.nn.sub_blocks import sub_blocks
from nlmodel.nn.tiles import LOG2_E, images_at_a_time, parts, softmax_


@torch.library.custom_op("nlmodel::softmax_stage", mutates_args=())
def softmax_stage(
    X: Tensor,
    embedding: Tensor | None,
    bias: Tensor | None,
    w_g: Tensor | None,
    w_z: Tensor,
    sides: int,
    scale: float,
    step: float,
    difference: bool,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Z_N of the stage with K = softmax(s theta X (phi X)^T), all weights stacked.

    Parameters
    ----------
    X : (B, C, M) tensor.
    embedding, bias : theta above phi, (2 D, C) and (2 D,); theta alone, where both are one; None is the identity.
    w_g, w_z : (N, r, C) and (N, C, r) tensors; w_g = None is the identity, with r = C.
    sides : 1 where theta and phi are one, else 2.
    scale : s.
    keep : whether a backward pass may follow.

    Returns  Z_N, (B, C, M), and for the backward pass the Y_n (N, B, M, r) and log2 of the row sums (B, M, 1).
    Cost     2 B M^2 (D + N r) operations; memory of a few affinities, and of Y where it is kept.
    """
    (B, C, M), (N, _, r) = X.shape, w_z.shape
    held = images_at_a_time(B, M * M, X.element_size(), X.device.type)
    spread, gather = _turned(step * w_z), _turned(w_g)
    out, Y, logs = torch.empty_like(X), *_kept(X, w_z, keep)
    states, features, averages, affinities = (X.new_empty(held, M, width) for width in (C, r, r, M))
    for part, size in parts(B, held):
        z, v, y, K = states[:size].copy_(X[part].mT), features[:size], averages[:size], affinities[:size]
        left, right = _features(z, embedding, bias, sides)
        torch.bmm(left * (scale * LOG2_E), right.mT, out=K)
        log = softmax_(K)
        if keep:
            logs[part] = log
        if difference:
            K.diagonal(dim1=-2, dim2=-1).sub_(1.0)
        for n in range(N):
            y = Y[n, part] if keep else y
            torch.bmm(K, z if w_g is None else _layer(z, gather[n], out=v), out=y)
            _add(z, y, spread[n])
        out[part] = z.mT
    return out, Y, logs


@softmax_stage.register_fake
def _(X, embedding, bias, w_g, w_z, sides, scale, step, difference, keep):
    return torch.empty_like(X), *_kept(X, w_z, keep)


@torch.library.custom_op("nlmodel::softmax_stage_backward", mutates_args=())
def softmax_stage_backward(
    grad: Tensor,
    X: Tensor,
    embedding: Tensor | None,
    bias: Tensor | None,
    w_g: Tensor | None,
    w_z: Tensor,
    Y: Tensor,
    logs: Tensor,
    sides: int,
    scale: float,
    step: float,
    difference: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients for X, embedding, bias, w_g and w_z (empty where it is None); formulas at the head of this file."""
    (B, C, M), (N, _, r) = X.shape, w_z.shape
    held, weights = images_at_a_time(B, M * M, X.element_size(), X.device.type), step * w_z
    spread, gather = _turned(weights), _turned(w_g)
    dX, d_w = torch.empty_like(X), w_z.new_zeros(w_z.shape)
    d_embedding, d_bias, d_g = (X.new_zeros(0 if t is None else t.shape) for t in (embedding, bias, w_g))
    states, features, changes = X.new_empty(N, held, M, C), *(X.new_empty(held, M, N * r) for _ in range(2))
    slopes, values = X.new_empty(N + 1, held, M, C), X.new_empty(N, held, M, r)
    affinities, products = (X.new_empty(held, M, M) for _ in range(2))
    for part, size in parts(B, held):
        V, dY, KT, H = (t[:size] for t in (features, changes, affinities, products))
        Z, dZ, dv, y = (t.unbind() for t in (states[:, :size], slopes[:, :size], values[:, :size], Y[:, part]))
        v, dy = V.split(r, -1), dY.split(r, -1)
        Z[0].copy_(X[part].mT)
        for n in range(N):  # forward again, from the averages
            if w_g is None:
                v[n].copy_(Z[n])
            else:
                _layer(Z[n], gather[n], out=v[n])
            if n < N - 1:
                _add(Z[n + 1].copy_(Z[n]), y[n], spread[n])
        left, right = _features(Z[0], embedding, bias, sides)
        torch.bmm(right * (scale * LOG2_E), left.mT, out=KT).sub_(logs[part].mT).exp2_()
        diagonal = KT.diagonal(dim1=-2, dim2=-1)
        kept = diagonal.clone()
        if difference:
            diagonal.sub_(1.0)
        dZ[N].copy_(grad[part].mT)
        for n in reversed(range(N)):
            torch.bmm(KT, _layer(dZ[n + 1], weights[n], out=dy[n]), out=dv[n])
            if w_g is None:
                torch.add(dZ[n + 1], dv[n], out=dZ[n])
            else:
                _add(dZ[n].copy_(dZ[n + 1]), dv[n], w_g[n])
        _grams(d_w, slopes[1:, :size], Y[:, part])
        if w_g is not None:
            _grams(d_g, values[:, :size], states[:, :size])
        diagonal.copy_(kept)
        torch.bmm(V, dY.mT, out=H).mul_(KT)
        H.addcmul_(KT, H.sum(-2, keepdim=True), value=-1.0)  # dS^T
        dz, d_right, d_left = dZ[0], torch.bmm(H, left), torch.bmm(right.mT, H).mT
        d_features = (d_left + d_right if sides == 1 else torch.cat([d_left, d_right], -1)) * scale
        if embedding is None:
            dz += d_features
        else:
            _add(dz, d_features, embedding)
            _grams(d_embedding[None], d_features[None], states[:1, :size])
            if bias is not None:
                d_bias += d_features.sum((0, 1))
        dX[part] = dz.mT
    return dX, d_embedding, d_bias, d_g, d_w.mul_(step)


@softmax_stage_backward.register_fake
def _(grad, X, embedding, bias, w_g, w_z, Y, logs, sides, scale, step, difference):
    weights = (X.new_empty(0 if t is None else t.shape) for t in (embedding, bias, w_g, w_z))
    return torch.empty_like(X), *weights


def _setup_context(ctx, inputs, output) -> None:
    *tensors, ctx.sides, ctx.scale, ctx.step, ctx.difference, _ = inputs
    ctx.set_materialize_grads(False)  # zeros of the size of Y else
    ctx.save_for_backward(*tensors, *output[1:])


def _backward(ctx, grad: Tensor | None, *_: Tensor | None):
    if grad is None:
        return (None,) * 10
    *tensors, Y, logs = ctx.saved_tensors
    settings = ctx.sides, ctx.scale, ctx.step, ctx.difference
    with outside_autocast(grad):
        if torch.is_grad_enabled():  # create_graph=True
            return *gradients(partial(_definition, *settings), tensors, ctx.needs_input_grad[:5], grad), *(None,) * 5
        found = softmax_stage_backward(grad, *tensors, Y, logs, *settings)
    return *(g if t is not None else None for g, t in zip(found, tensors, strict=True)), *(None,) * 5


softmax_stage.register_autograd(_backward, setup_context=_setup_context)


def _definition(sides, scale, step, difference, X, embedding, bias, w_g, w_z) -> Tensor:
    Z = X.mT
    left, right = _features(Z, embedding, bias, sides)
    w_g = torch.eye(Z.shape[-1], dtype=Z.dtype, device=Z.device).expand(len(w_z), -1, -1) if w_g is None else w_g
    return sub_blocks(Dense.of("gaussian", scale * left, right, "softmax"), Z, w_g, w_z, step, difference).mT


def _features(Z: Tensor, embedding: Tensor | None, bias: Tensor | None, sides: int) -> tuple[Tensor, Tensor]:
    """theta and phi of all positions."""
    found = Z if embedding is None else Z @ embedding.mT if bias is None else Z @ embedding.mT + bias
    return (found, found) if sides == 1 else found.chunk(2, -1)  # pyright: ignore[reportReturnType]


def _kept(X: Tensor, w_z: Tensor, keep: bool) -> tuple[Tensor, Tensor]:
    """Memory for the averages and for the logarithms of the row sums."""
    (B, _, M), (N, _, r) = X.shape, w_z.shape
    return (X.new_empty(N, B, M, r), X.new_empty(B, M, 1)) if keep else (X.new_empty(0), X.new_empty(0))


def _turned(weights: Tensor | None) -> Sequence[Tensor]:
    """The transposes of stacked weights."""
    return () if weights is None else weights.mT.unbind()


def _layer(z: Tensor, weight: Tensor, out: Tensor) -> Tensor:
    """out <- z W at all positions."""
    torch.mm(z.view(-1, z.shape[-1]), weight, out=out.view(-1, out.shape[-1]))
    return out


def _add(z: Tensor, y: Tensor, weight: Tensor) -> None:
    """z <- z + y W at all positions."""
    z.view(-1, z.shape[-1]).addmm_(y.flatten(0, -2), weight)


def _grams(totals: Tensor, x: Tensor, y: Tensor) -> None:
    """totals_n <- totals_n + sum over images and positions of x_n y_n^T."""
    totals.baddbmm_(x.flatten(1, 2).mT, y.flatten(1, 2))
