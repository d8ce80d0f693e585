"""The weights of a layer of a live network, which says what a checkpoint does not."""

from __future__ import annotations

from torch import nn

from nlmodel._arrays import to_numpy
from nlmodel.nn.checkpoint.layers import Layer, Settings, Weight
from nlmodel.nn.checkpoint.tensors import Tensors
from nlmodel.nn.stage import NonlocalStage


HEAD_COUNTS = ("num_heads", "num_attention_heads", "n_heads", "heads")


def weights_of(module: nn.Module, layer: Layer, tensors: Tensors, heads: int | None) -> tuple[Weight, ...]:
    """W of each head or sub-block, its norm folded in; of a stage h W^n, parametrised or not.

    Raises   one of our errors where the layer has no such weight.
    """
    if isinstance(module, NonlocalStage):
        return _of_stage(module, layer.name)
    settings = Settings(_heads(module) or heads, _norm_eps(module))
    return tuple(layer.weights(tensors, settings))


def _of_stage(stage: NonlocalStage, name: str) -> tuple[Weight, ...]:
    W_g, W_Z = (to_numpy(w.detach().double()) for w in stage._weights())
    said = f"Read as NonlocalStage: $h W^n = h W_Z^n W_g^n$ of {stage.blocks} sub-blocks with $h$ = {stage.step:g}."
    pairs = zip(stage.step * W_Z, W_g, strict=True)
    return tuple(Weight(f"{name} sub-block {n}", pair, (said,)) for n, pair in enumerate(pairs))


def _heads(module: nn.Module) -> int | None:
    """The number of heads, where the module or one of its parts tells it."""
    told = (getattr(part, name, None) for part in module.modules() for name in HEAD_COUNTS)
    return next((n for n in told if isinstance(n, int) and not isinstance(n, bool)), None)


def _norm_eps(module: nn.Module) -> float:
    norms = (m.eps for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm))
    return next(norms, 1e-5)
