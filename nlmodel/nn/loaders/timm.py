"""NonLocalAttn of timm."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from nlmodel._arrays import check_number
from nlmodel.nn.block import NonlocalBlock
from nlmodel.nn.loaders.assembly import Form, Names, assembled, batch_norm
from nlmodel.nn.loaders.modes import needed
from nlmodel.nn.loaders.weights import PeerWeights


NAMES = Names(theta="t", phi="p", g="g", w_z="z", norm="norm", concat=None)


def from_timm(
    source: nn.Module | Mapping[str, Tensor],
    *,
    use_scale: bool | None = None,
    norm_eps: float = 1e-5,
    prefix: str = "",
) -> NonlocalBlock:
    """A NonLocalAttn of timm as a `NonlocalBlock`: the same function of x, to rounding.

    Parameters
    ----------
    source : the module, or its state_dict; timm itself is not needed.
    use_scale : whether scalar products are divided by the root of the number of channels; the module says it.
    norm_eps : of the batch norm, when `source` is a state_dict.
    prefix : of the names of this block, when `source` holds a whole network.

    Returns  a block with copies of the weights; `source` is unchanged.
    Raises   ChoiceError: a weight is missing or left over, or use_scale is not told; ShapeError; DtypeError.
    """
    check_number(norm_eps, "norm_eps", above=0.0)
    weights = PeerWeights(source, prefix)
    if isinstance(source, nn.Module):
        scale = float(source.scale)  # pyright: ignore[reportArgumentType]
        form = Form(
            "embedded_gaussian",
            scale=scale,
            training=source.training,
            **batch_norm(source.get_submodule("norm")),  # pyright: ignore[reportArgumentType]
        )
    else:
        channels = weights.left["g.weight"].shape[1] if weights.has("g.weight") else 1
        scaled = needed(use_scale, "use_scale")
        form = Form("embedded_gaussian", scale=channels**-0.5 if scaled else False, eps=norm_eps)
    return assembled(weights, NAMES, form)
