"""The weights of a live network, which says what a checkpoint does not."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from nlmodel._arrays import to_numpy
from nlmodel.audit.readers import Entry
from nlmodel.errors import NonFiniteError
from nlmodel.nn.checkpoint.layers import Layer, Settings, Weight
from nlmodel.nn.checkpoint.tensors import Tensors
from nlmodel.nn.inspection.untouched import untouched
from nlmodel.nn.stage import NonlocalStage


HEAD_COUNTS = ("num_heads", "num_attention_heads", "n_heads", "heads")


def tensors_of(model: nn.Module) -> Tensors:
    """The tensors of a network by name, of weights that are computed from others what is computed."""
    with untouched(model):
        state = {name: t for name, t in model.state_dict().items() if ".parametrizations." not in f".{name}"}
        for name, module in model.named_modules():
            computed = {key: t for key, t in vars(module).items() if type(t) is Tensor}
            if is_parametrized(module):
                computed |= {key: getattr(module, key) for key in module.parametrizations}  # pyright: ignore
            state |= {f"{name}.{key}".removeprefix("."): t for key, t in computed.items()}
    return Tensors("", {name: _entry(name, t) for name, t in state.items() if isinstance(t, Tensor)})


def _entry(name: str, value: Tensor) -> Entry:
    kind = str(value.dtype).removeprefix("torch.")
    return Entry(name, tuple(value.shape), kind, lambda: value.detach().cpu().double().numpy())


def weights_of(module: nn.Module, layer: Layer, tensors: Tensors, heads: int | None) -> tuple[Weight, ...]:
    """W of each head or sub-block, its norm folded in; of a stage h W^n, parametrised or not.

    Parameters
    ----------
    heads : how many there are, where the module does not tell.

    Raises   one of our errors where the layer has no such weight, or one that is not finite.
    """
    if isinstance(module, NonlocalStage):
        found = _of_stage(module, layer.name)
    else:
        settings = Settings(_heads(module) or heads, _norm_eps(module), live=True)
        found = tuple(layer.weights(tensors, settings))
    if not all(np.all(np.isfinite(array)) for weight in found for array in weight.arrays):
        raise NonFiniteError("its weights hold NaN or infinity")
    return found


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
