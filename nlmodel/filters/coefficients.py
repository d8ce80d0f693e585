"""The nonlocal stage and the nonlocal blocks as coefficients of a Chebyshev filter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nlmodel._arrays import (
    Array,
    check_alike,
    check_array,
    check_choice,
    check_number,
    check_square,
    namespace,
    transpose,
)
from nlmodel.errors import ShapeError


BLOCKS = {"nonlocal": 1, "stage": 1, "spectral": 2, "generalized_spectral": 3}


def stage_coefficients(weights: Array | Sequence[float]) -> Array:
    """Chebyshev coefficients of a nonlocal stage, the product of its sub-blocks.

        Z^{n+1} = Z^n + (A - I) Z^n (W^n)^T,   Z^N = sum_k T_k(-A) Z Theta_k             Tao et al. 2018, eq. (8)

    For W^n = mu_n I this is p(A) = prod_n (1 - mu_n (1 - A)), so that sum_k (-1)^k Theta_k = p(1) = 1: constants
    stay. Each factor multiplies the expansion by (1 - mu) - mu x with x = -A, x T_k = (T_{k+1} + T_{|k-1|}) / 2.

    Parameters
    ----------
    weights : mu_1, ..., mu_N as numbers or an (N,) array, or W^1, ..., W^N as one (N, C, C) array.

    Returns  (N+1,) or (N+1, C, C) array for `chebyshev_filter`; NumPy float64 for a sequence of numbers, which
        as a list fits features of any library and precision.
    Raises   ShapeError / DtypeError / NonFiniteError.
    Accuracy absolute error O(N eps prod_n (|1 - mu_n| + |mu_n|)).
    Cost     O(N^2) numbers, or O(N^2 C^3).
    """
    if isinstance(weights, Sequence):
        weights = np.array([check_number(mu, "weights") for mu in weights])
    check_array(weights, "weights", min_ndim=1)
    if weights.ndim not in (1, 3):
        raise ShapeError("weights must be (N,) numbers or (N, C, C) matrices", got=f"shape {tuple(weights.shape)}")
    xp = namespace(weights)
    if weights.ndim == 3:
        factors = transpose(check_square(weights, "weights"))
        one, product = xp.eye(weights.shape[-1], dtype=weights.dtype, device=weights.device), xp.matmul
    else:
        factors, one, product = weights, xp.ones_like(weights[0, ...]), xp.multiply
    terms = [one]
    for n in range(weights.shape[0]):
        factor = factors[n, ...]
        rest, zero = one - factor, xp.zeros_like(one)
        shifted = [zero] * (len(terms) + 1)
        for k, term in enumerate(terms):
            for target in (k + 1, abs(k - 1)):
                shifted[target] = shifted[target] + 0.5 * term
        terms = [
            product(term, rest) - product(moved, factor) for term, moved in zip([*terms, zero], shifted, strict=True)
        ]
    return xp.stack(terms)


def block_coefficients(block: str, *weights: Array) -> list[Array]:
    """Theta_0 and Theta_1 of the blocks, as matrices that act on features from the right.

        "nonlocal"               A Z W                                  (0, -W)
        "stage"                  A Z W - Z W                            (-W, -W)
        "spectral"               Z W_1 + A Z W_2                        (W_1, -W_2)
        "generalized_spectral"   Z W_1 + A Z W_2 + (2A - I) Z W_3       (W_1 - W_3, -W_2 - 2 W_3)

    "nonlocal" covers double attention, criss-cross and compact generalised blocks, each with its own A. The last
    line is a reparametrisation of the one before: 2A - I is T_2(-A) only if A^2 = A, and then
    T_k(-A) = I, -A, 2A - I, -A, I, ... adds nothing beyond I and A.

    Parameters
    ----------
    block : one of the names above.
    weights : as many (C, C') arrays as the line shows; a block of eq. (8) with Z -> W Z_i passes W^T.

    Returns  [Theta_0, Theta_1].
    Raises   ChoiceError / ShapeError / DtypeError / NonFiniteError.
    """
    check_choice(block, "block", BLOCKS)
    if len(weights) != BLOCKS[block]:
        raise ShapeError(f"block {block!r} takes {BLOCKS[block]} weights", got=len(weights))
    xp = check_alike(**{f"weights[{n}]": check_array(W, f"weights[{n}]", ndim=2) for n, W in enumerate(weights)})
    if len({tuple(W.shape) for W in weights}) > 1:
        raise ShapeError("weights must have one shape", got=", ".join(str(tuple(W.shape)) for W in weights))
    match block:
        case "nonlocal":
            return [xp.zeros_like(weights[0]), -weights[0]]
        case "stage":
            return [-weights[0], -weights[0]]
        case "spectral":
            return [weights[0], -weights[1]]
    return [weights[0] - weights[2], -weights[1] - 2 * weights[2]]
