"""One nonlocal block from the parts of another library's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nlmodel.errors import ShapeError
from nlmodel.nn.block import NonlocalBlock
from nlmodel.nn.loaders.weights import PeerWeights, check_alike


@dataclass(frozen=True)
class Names:
    """Where a peer keeps the parts of its block."""

    theta: str
    phi: str
    g: str
    w_z: str
    norm: str | None
    concat: str | None


@dataclass(frozen=True)
class Form:
    """What a peer's weights do not say: affinity, scale, subsampling, constants of the norm, training or not."""

    affinity: str
    scale: bool | float = False
    subsample: str | None = None
    eps: float = 1e-5
    momentum: float | None = 0.1
    training: bool = False


def assembled(weights: PeerWeights, names: Names, form: Form) -> NonlocalBlock:
    """The block with these weights; every one is used.

    Raises   ChoiceError: a weight is missing or left over; ShapeError: sizes that do not fit; DtypeError.
    """
    g, dimension = weights.matrix(names.g)
    layers = {"g": (g, weights.bias(names.g)), "w_z": (weights.matrix(names.w_z)[0], weights.bias(names.w_z))}
    if form.affinity != "gaussian":
        for part, name in (("embedding.theta", names.theta), ("embedding.phi", names.phi)):
            layers[part] = (weights.matrix(name)[0], weights.bias(name))
    w = weights.matrix(names.concat)[0] if form.affinity == "concatenation" and names.concat else None
    norm = None if names.norm is None else _norm(weights, names.norm)
    weights.done()

    tensors = [t for pair in layers.values() for t in pair if t is not None]
    dtype = check_alike([*tensors, *([w] if w is not None else []), *([norm["weight"]] if norm else [])])
    block = NonlocalBlock(
        g.shape[1],
        g.shape[0],
        affinity=form.affinity,
        scale=form.scale,
        subsample=form.subsample,
        norm="batch" if norm else None,
        dimension=dimension,
    ).to(dtype)
    for part, (weight, bias) in layers.items():
        _fill(block.get_submodule(part), part, weight, bias)
    if w is not None and block.embedding.w is not None:
        _check_shape("the projection of the concatenation", w, (1, 2 * g.shape[0]))
        block.embedding.w.data = w.reshape(2, -1)
    if norm and block.norm is not None:
        block.norm.eps, block.norm.momentum = form.eps, form.momentum
        for name, value in norm.items():
            if name != "num_batches_tracked":
                _check_shape(f"{name} of the norm", value, (g.shape[1],))
        block.norm.load_state_dict(norm)
    return block.train(form.training)


def _fill(layer: nn.Module, part: str, weight: Tensor, bias: Tensor | None) -> None:
    linear: nn.Linear = layer  # pyright: ignore[reportAssignmentType]
    _check_shape(part, weight, tuple(linear.weight.shape))
    linear.weight.data = weight
    if bias is not None:
        _check_shape(f"the bias of {part}", bias, (linear.out_features,))
        linear.bias = nn.Parameter(bias)


def _check_shape(what: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise ShapeError(
            f"{what} must have shape {shape}",
            got=f"{tuple(tensor.shape)}",
            why="channels and inner width are those of g",
        )


def _norm(weights: PeerWeights, name: str) -> dict[str, Tensor]:
    parts = ("weight", "bias", "running_mean", "running_var")
    found = {part: weights.take(f"{name}.{part}") for part in parts}
    count = f"{name}.num_batches_tracked"
    return {**found, "num_batches_tracked": weights.take(count) if weights.has(count) else torch.tensor(0)}


def batch_norm(module: nn.Module | None) -> dict[str, float | None]:
    """eps and momentum of a batch norm, as they are called in `Form`."""
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return {"eps": module.eps, "momentum": module.momentum}
    return {}
