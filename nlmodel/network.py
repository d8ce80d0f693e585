"""The network's steps as array functions: original block, nonlocal stage, residual block, reaction-diffusion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, overload

from nlmodel._arrays import Array, check_alike, check_array, check_number, namespace, transpose
from nlmodel.errors import DtypeError, ShapeError
from nlmodel.kernels import Kernel
from nlmodel.operators import NonlocalOperator
from nlmodel.stepping.problem import checked_weight, mix


KernelLike = Kernel | Callable[[Any, Any], Any]
Activation = Callable[[Array], Array]
Weights = Sequence[float | Array] | Array


def relu(Z: Array) -> Array:
    """max(Z, 0)."""
    return namespace(Z).where(Z > 0, Z, namespace(Z).zeros_like(Z))


def original_flow(
    Z: Array, kernel: KernelLike, weight: float | Array | None = None, *, normalize: str = "row"
) -> Array:
    """What the original nonlocal block adds to Z, with the affinity found from Z itself.

        F(Z)_i = (W / C_i(Z)) sum_j omega(Z_i, Z_j) Z_j,    F(Z) = K(Z) Z W^T

    Tao et al. 2018, eqs (3), (6).

    Parameters
    ----------
    Z : (..., M, C) array.
    kernel : a kernel or a function (X, Y) -> omega.
    weight : W = W_Z W_g: None (identity), a number, or a (C, C) array.  -1 with normalize="none" is eq. (26).
    normalize : "row" is eq. (4); "none" divides by nothing.

    Returns  (..., M, C) array.
    Raises   NormalizationError: a row sum C_i that is not positive; DtypeError, ShapeError, NonFiniteError.
    Cost     one affinity matrix and one product with it, O(M^2 C).
    """
    check_array(Z, "Z", min_ndim=2)
    averaged = NonlocalOperator.from_points(Z, kernel, normalize, storage="dense").average(Z)
    return mix(averaged, checked_weight(weight, Z))


def original_step(
    Z: Array, kernel: KernelLike, weight: float | Array | None = None, *, normalize: str = "row"
) -> Array:
    """One original nonlocal block: the identity plus `original_flow`.

        Z^{k+1} = Z^k + K(Z^k) Z^k W^T          Tao et al. 2018, eqs (1), (2), (27)

    Parameters, errors and cost as in `original_flow`.  With the Dirac kernel on distinct points this is
    Z (I + W)^T.
    """
    return Z + original_flow(Z, kernel, weight, normalize=normalize)


@overload
def stage(Z: Array, op: NonlocalOperator, weights: Weights, *, every: Literal[False] = False) -> Array: ...
@overload
def stage(Z: Array, op: NonlocalOperator, weights: Weights, *, every: Literal[True]) -> list[Array]: ...
def stage(Z: Array, op: NonlocalOperator, weights: Weights, *, every: bool = False) -> Array | list[Array]:
    """The nonlocal stage: N sub-blocks that share one operator and have a weight each.

        Z^{n+1} = Z^n + L Z^n (W^n)^T,    n = 0, ..., N - 1          Tao et al. 2018, eq. (8)

    Parameters
    ----------
    Z : (..., M, C) array, the stage's input; eq. (8) builds `op` from it.
    op : L.
    weights : N numbers or (C, C) arrays, or one (N,) or (N, C, C) array.
    every : return the outputs of all sub-blocks, the input first, instead of the last one.

    Returns  (..., M, C) array, or a list of N + 1 of them.
    Raises   ShapeError: no weight at all, or one that does not fit; DtypeError, NonFiniteError.
    Accuracy constants, and the weighted mean for any weights, to rounding.
    Cost     N products with L.
    """
    check_array(Z, "Z", min_ndim=2)
    _check_operator(op)
    blocks = weights if isinstance(weights, (list, tuple)) else _unstacked(weights)
    if not blocks:
        raise ShapeError("weights must hold one weight a sub-block", got="none")
    outputs = [Z]
    for n, weight in enumerate(blocks):
        outputs.append(outputs[-1] + mix(op @ outputs[-1], checked_weight(weight, Z, f"weights[{n}]")))
    return outputs if every else outputs[-1]


def residual_flow(Z: Array, W1: Array, W2: Array, activation: Activation = relu) -> Array:
    """What the residual block adds to Z.

        F(Z) = W_2 f(W_1 f(Z))          Tao et al. 2018, eqs (5), (30)

    Parameters
    ----------
    Z : (..., M, C) array.
    W1 : (H, C) array.
    W2 : (C, H) array.
    activation : f, a function of arrays; the paper's is ReLU after batch normalisation, the default
        ReLU alone.

    Returns  (..., M, C) array.
    Cost     O(M C H).
    """
    check_array(Z, "Z", min_ndim=2)
    xp = check_alike(Z=Z, W1=check_array(W1, "W1", ndim=2), W2=check_array(W2, "W2", ndim=2))
    channels, hidden = Z.shape[-1], W1.shape[0]
    if W1.shape[1] != channels or tuple(W2.shape) != (channels, hidden):
        raise ShapeError(
            "W1 must be (hidden, channels) and W2 (channels, hidden)",
            got=f"W1 {tuple(W1.shape)}, W2 {tuple(W2.shape)} for {channels} channels",
            why="F maps a feature vector to one of the same length",
        )
    return xp.matmul(activation(xp.matmul(activation(Z), transpose(W1))), transpose(W2))


def residual_step(Z: Array, W1: Array, W2: Array, activation: Activation = relu, *, step: float = 1.0) -> Array:
    """One residual block, Z + step W_2 f(W_1 f(Z)); forward Euler for eq. (30).

    Tao et al. 2018, eqs (2), (5); step = 1 is the network's.  Parameters as in `residual_flow`.
    """
    return Z + check_number(step, "step", above=0.0) * residual_flow(Z, W1, W2, activation)


def reaction_diffusion_step(
    Z: Array,
    op: NonlocalOperator,
    W1: Array,
    W2: Array,
    weight: float | Array | None = None,
    *,
    activation: Activation = relu,
    step: float = 1.0,
) -> Array:
    """One forward Euler step of the reaction-diffusion system: a nonlocal sub-block and a residual block added.

        Z^{n+1} = Z^n + step (L Z^n W^T + W_2 f(W_1 f(Z^n)))          Tao et al. 2018, eqs (29)-(30)

    Parameters
    ----------
    Z : (..., M, C) array.
    op : L.
    W1, W2, activation : of the reaction, see `residual_flow`.
    weight : W of the diffusion: None (identity), a number, or a (C, C) array.

    Returns  (..., M, C) array.
    Cost     one product with L and one residual block.
    """
    reaction = residual_flow(Z, W1, W2, activation)
    _check_operator(op)
    return Z + check_number(step, "step", above=0.0) * (mix(op @ Z, checked_weight(weight, Z)) + reaction)


def _unstacked(weights: Array) -> list[Array]:
    """The weights along the first axis of one array."""
    if check_array(weights, "weights", min_ndim=1).ndim not in (1, 3):
        raise ShapeError("weights must be (N,) numbers or (N, C, C) matrices", got=f"shape {tuple(weights.shape)}")
    return [weights[n, ...] for n in range(weights.shape[0])]


def _check_operator(op: object) -> None:
    if not isinstance(op, NonlocalOperator):
        raise DtypeError("op must be a NonlocalOperator", got=type(op).__name__)
