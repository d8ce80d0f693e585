"""One nonlocal block from the parts of another library's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nlmodel._arrays import check_number
from nlmodel.errors import ChoiceError, ShapeError
from nlmodel.nn.block import NonlocalBlock
from nlmodel.nn.loaders.weights import PeerWeights, check_alike, told


EPS = 1e-5  # torch's own default
STATISTICS = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class Names:
    """Where a peer keeps the parts of its block; `pool` is the layer after g when there is one."""

    theta: str
    phi: str
    g: str
    w_z: str
    norm: str | None
    concat: str | None
    pool: str | None


def assembled(
    weights: PeerWeights,
    names: Names,
    affinity: str,
    *,
    scale: bool | float = False,
    norm_eps: float | None = None,
) -> NonlocalBlock:
    """The block with these weights, in the dtype and on the device of theirs; every one is used.

    Raises   ChoiceError: a weight is missing or left over, or another pooling; ShapeError: sizes that do not fit;
             DtypeError; DomainError: norm_eps.
    """
    if norm_eps is not None:
        check_number(norm_eps, "norm_eps", above=0.0)
    g, dimension = weights.matrix(names.g)
    layers = {"g": (g, weights.bias(names.g)), "w_z": (weights.matrix(names.w_z)[0], weights.bias(names.w_z))}
    if affinity != "gaussian":
        for part, name in (("embedding.theta", names.theta), ("embedding.phi", names.phi)):
            layers[part] = (weights.matrix(name)[0], weights.bias(name))
    w = weights.matrix(names.concat)[0] if affinity == "concatenation" and names.concat else None
    norm = None if names.norm is None else _norm(weights, names.norm)
    weights.done()
    if names.pool is not None:
        _check_pool(weights.part(names.pool), dimension)

    tensors = [t for pair in layers.values() for t in pair if t is not None]
    dtype, device = check_alike([*tensors, *([w] if w is not None else []), *([norm["weight"]] if norm else [])])
    with torch.device("meta"):  # every weight is replaced: none need be drawn
        block = NonlocalBlock(
            g.shape[1],
            g.shape[0],
            affinity=affinity,
            scale=scale,
            subsample=None if names.pool is None else "after",
            norm="batch" if norm else None,
            dimension=dimension,
        )
    block.to(dtype).to_empty(device=device)
    for part, (weight, bias) in layers.items():
        _fill(block.get_submodule(part), part, weight, bias)
    if w is not None:
        _check_shape("the projection of the concatenation", w, (1, 2 * g.shape[0]))
        block.embedding.w = nn.Parameter(w.reshape(2, -1))
    block.train(weights.training)
    if norm is not None and names.norm is not None and block.norm is not None:
        _fill_norm(block.norm, norm, weights.part(names.norm), norm_eps)
    return block


def _fill(layer: nn.Module, part: str, weight: Tensor, bias: Tensor | None) -> None:
    linear: nn.Linear = layer  # pyright: ignore[reportAssignmentType]
    _check_shape(part, weight, tuple(linear.weight.shape))
    linear.weight = nn.Parameter(weight)
    if bias is not None:
        _check_shape(f"the bias of {part}", bias, (linear.out_features,))
        linear.bias = nn.Parameter(bias)


def _fill_norm(layer: nn.BatchNorm1d, values: dict[str, Tensor], own: nn.Module | None, eps: float | None) -> None:
    for name in STATISTICS:
        _check_shape(f"{name} of the norm", values[name], (layer.num_features,))
    layer.load_state_dict(values)
    eps = told(own, "eps", eps, "norm_eps")
    layer.eps = EPS if eps is None else eps
    if own is not None:
        layer.momentum = getattr(own, "momentum", layer.momentum)
        layer.train(own.training)


def _norm(weights: PeerWeights, name: str) -> dict[str, Tensor]:
    found = {part: weights.take(f"{name}.{part}") for part in STATISTICS}
    count = f"{name}.num_batches_tracked"
    return {**found, "num_batches_tracked": weights.take(count) if weights.has(count) else torch.tensor(0)}


def _check_shape(what: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise ShapeError(
            f"{what} must have shape {shape}",
            got=f"{tuple(tensor.shape)}",
            why="channels and inner width are those of g",
        )


def _check_pool(layer: nn.Module | None, dimension: int) -> None:
    """Old releases of Non-local_pytorch pool along time as well: refuse what is another function."""
    if layer is None:
        return
    wanted = (1, 2, 2) if dimension == 3 else (2,) * dimension
    size = getattr(layer, "kernel_size", None)
    if (size,) * dimension != wanted and size != wanted:
        raise ChoiceError(
            "senders must be max-pooled by two along each spatial axis, and not along time",
            got=f"{type(layer).__name__} of size {size}",
            why="the block pools so, and another pooling is another function",
        )
