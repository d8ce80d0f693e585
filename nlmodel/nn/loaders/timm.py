"""NonLocalAttn of timm."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from nlmodel.nn.block import NonlocalBlock
from nlmodel.nn.loaders.assembly import Names, assembled
from nlmodel.nn.loaders.modes import needed
from nlmodel.nn.loaders.weights import PeerWeights, told


NAMES = Names(theta="t", phi="p", g="g", w_z="z", norm="norm", concat=None, pool=None)


def from_timm(
    source: nn.Module | Mapping[str, Tensor],
    *,
    use_scale: bool | None = None,
    norm_eps: float | None = None,
    prefix: str = "",
) -> NonlocalBlock:
    """A NonLocalAttn of timm as a `NonlocalBlock`: the same function of x, to rounding.

    Parameters
    ----------
    source : the module, or its state_dict; timm itself is not needed.
    use_scale : whether scalar products are divided by the root of the number of channels, not of the inner width;
        the module says it.
    norm_eps : of the batch norm, when `source` is a state_dict; None is torch's 1e-5.
    prefix : of the names of this block, when `source` holds a whole network.

    Returns  a block with copies of the weights, in training mode where the module is; `source` is unchanged.
    Raises   ChoiceError: a weight is missing or left over, use_scale is not told, or an option contradicts the source;
             ShapeError; DtypeError; DomainError.
    Accuracy that of the peer, another order of the sums.
    """
    weights = PeerWeights(source, prefix)
    scale = told(weights.module, "scale", _factor(weights, use_scale), "use_scale")
    scale = scale if isinstance(scale, float) else needed(use_scale, "use_scale")
    return assembled(weights, NAMES, "embedded_gaussian", scale=scale, norm_eps=norm_eps)


def _factor(weights: PeerWeights, use_scale: bool | None) -> float | None:
    """The factor of the scalar products that `use_scale` stands for."""
    if use_scale is None or not weights.has("norm.weight"):
        return None
    return max(1, weights.left["norm.weight"].numel()) ** -0.5 if needed(use_scale, "use_scale") else 1.0
