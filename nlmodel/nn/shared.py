"""The nonlocal stage of a softmax affinity: one image's affinity at a time, found once for all sub-blocks.

Registered as an operator of its own, so that a compiled graph takes it as one node.  With V_n = Z_n W_g^T,
Y_n = K V_n - V_n (difference form) or K V_n, and Z_{n+1} = Z_n + h Y_n W_Z^T, backwards

    dY_n = h dZ_{n+1} W_Z,   dV_n = K^T dY_n - dY_n,   dZ_n = dZ_{n+1} + dV_n W_g,
    dK = [dY_0 ... dY_{N-1}] [V_0 ... V_{N-1}]^T,      dS = K * (dK - d 1^T),   d_i = sum_n dY_n,i . (K V_n)_i.

The gradient of the affinity is one product of inner length N r instead of N sums of M x M matrices, and the row sums
d of dK * K need no M x M matrix.  Only the Y_n are kept: K is found again, Z_n and V_n follow from the Y_n.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from nlmodel.nn.averages import Dense
from nlmodel.nn.second_order import gradients
from nlmodel.nn.sub_blocks import sub_blocks


def images_at_a_time(images: int, positions: int, itemsize: int, device: str) -> int:
    """How many affinities are held together: what stays in the cache of a CPU, or fills another device."""
    budget = 4 << 20 if device == "cpu" else 512 << 20
    return max(1, min(images, budget // (positions * positions * itemsize)))


@torch.library.custom_op("nlmodel::softmax_stage", mutates_args=())
def softmax_stage(
    left: Tensor, right: Tensor, Z: Tensor, w_g: Tensor, w_z: Tensor, step: float, difference: bool
) -> tuple[Tensor, Tensor]:
    """Z_N and the averages Y (N, B, M, r) of the stage with K = softmax(left right^T), all weights stacked.

    Parameters
    ----------
    left, right : (B, M, D) tensors.
    Z : (B, M, C) tensor.
    w_g, w_z : (N, r, C) and (N, C, r) tensors.

    Cost     2 B M^2 (D + N r) operations; memory of a few affinities and of Y.
    """
    out = torch.empty_like(Z, memory_format=torch.contiguous_format)
    Y = Z.new_empty(w_g.shape[0], *Z.shape[:-1], w_g.shape[1])
    for part, K in _affinities(left, right):
        z = Z[part]
        for n in range(w_g.shape[0]):
            v = z @ w_g[n].mT
            y = torch.baddbmm(v, K, v, beta=-1.0) if difference else K @ v
            z = z + step * (y @ w_z[n].mT)
            Y[n, part] = y
        out[part] = z
    return out, Y


@softmax_stage.register_fake
def _(left: Tensor, right: Tensor, Z: Tensor, w_g: Tensor, w_z: Tensor, step: float, difference: bool):
    return Z.new_empty(Z.shape), Z.new_empty(w_g.shape[0], *Z.shape[:-1], w_g.shape[1])


@torch.library.custom_op("nlmodel::softmax_stage_backward", mutates_args=())
def softmax_stage_backward(
    grad: Tensor,
    left: Tensor,
    right: Tensor,
    Z: Tensor,
    w_g: Tensor,
    w_z: Tensor,
    Y: Tensor,
    step: float,
    difference: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients for left, right, Z, w_g and w_z; formulas at the head of this file."""
    N, r = w_g.shape[:2]
    d_left, d_right, d_Z = (torch.empty_like(x, memory_format=torch.contiguous_format) for x in (left, right, Z))
    d_g, d_w = torch.zeros_like(w_g), torch.zeros_like(w_z)
    for part, K in _affinities(left, right):
        z, z_of = Z[part], []
        V, dY = (K.new_empty(*z.shape[:-1], N * r) for _ in range(2))
        for n in range(N):
            z_of.append(z)
            V[..., n * r : (n + 1) * r] = z @ w_g[n].mT
            z = z + step * (Y[n, part] @ w_z[n].mT)
        dz, d = grad[part], K.new_zeros(*z.shape[:-1], 1)
        for n in reversed(range(N)):
            at = slice(n * r, (n + 1) * r)
            y, v, scaled = Y[n, part], V[..., at], step * dz
            dy = scaled @ w_z[n]
            dY[..., at] = dy
            dv = torch.baddbmm(dy, K.mT, dy, beta=-1.0) if difference else K.mT @ dy
            d += (dy * (y + v if difference else y)).sum(-1, keepdim=True)
            d_w[n] += _gram(scaled, y)
            d_g[n] += _gram(dv, z_of[n])
            dz = dz + dv @ w_g[n]
        dS = torch.baddbmm(d.expand_as(K), dY, V.mT, beta=-1.0).mul_(K)
        torch.bmm(dS, right[part], out=d_left[part])
        torch.bmm(dS.mT, left[part], out=d_right[part])
        d_Z[part] = dz
    return d_left, d_right, d_Z, d_g, d_w


@softmax_stage_backward.register_fake
def _(
    grad: Tensor,
    left: Tensor,
    right: Tensor,
    Z: Tensor,
    w_g: Tensor,
    w_z: Tensor,
    Y: Tensor,
    step: float,
    difference: bool,
):
    return tuple(x.new_empty(x.shape) for x in (left, right, Z, w_g, w_z))


def _setup_context(ctx, inputs, output) -> None:
    *tensors, ctx.step, ctx.difference = inputs
    ctx.save_for_backward(*tensors, output[1])


def _backward(ctx, grad: Tensor, _: Tensor | None):
    if torch.is_grad_enabled():  # create_graph=True
        return *gradients(partial(_definition, ctx), ctx.saved_tensors[:-1], ctx.needs_input_grad[:5], grad), None, None
    found = softmax_stage_backward(grad.contiguous(), *ctx.saved_tensors, ctx.step, ctx.difference)
    return *found, None, None


def _definition(ctx, left: Tensor, right: Tensor, Z: Tensor, w_g: Tensor, w_z: Tensor) -> Tensor:
    average = Dense.of("gaussian", left, right, "softmax")
    return sub_blocks(average, Z, w_g, w_z, ctx.step, ctx.difference)


softmax_stage.register_autograd(_backward, setup_context=_setup_context)


def _affinities(left: Tensor, right: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """softmax(left right^T) of a few images after the other, in memory that is used again."""
    images, positions = left.shape[:2]
    held = images_at_a_time(images, positions, left.element_size(), left.device.type)
    logits, K = (left.new_empty(held, positions, positions) for _ in range(2))
    for start in range(0, images, held):
        part = slice(start, min(start + held, images))
        size = part.stop - part.start
        torch.bmm(left[part], right[part].mT, out=logits[:size])
        torch.softmax(logits[:size], -1, out=K[:size])
        yield part, K[:size]


def _gram(x: Tensor, y: Tensor) -> Tensor:
    """sum over images and positions of x y^T."""
    return x.flatten(0, -2).mT @ y.flatten(0, -2)
