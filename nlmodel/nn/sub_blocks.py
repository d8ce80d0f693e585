"""The sub-blocks of a stage, one after the other: the definition."""

from __future__ import annotations

from torch import Tensor

from nlmodel.nn.averages import Average


def sub_blocks(average: Average, Z: Tensor, w_g: Tensor, w_z: Tensor, step: float, difference: bool) -> Tensor:
    """Every pair of weights moves Z by its average over all positions.

        Z <- Z + h (K - diag(r)) Z (W_Z W_g)^T,  in the order W_Z (K (W_g Z))          Tao et al. 2018, eq. (8)

    Parameters
    ----------
    average : K and the rates r.
    Z : (B, M, C) tensor.
    w_g, w_z : (N, r, C) and (N, C, r) tensors.
    difference : false leaves out r, the sum form.
    """
    for g, w in zip(w_g, w_z, strict=True):
        V = Z @ g.mT
        change = average(V) - average.rate * V if difference else average(V)
        Z = Z + step * (change @ w.mT)
    return Z
