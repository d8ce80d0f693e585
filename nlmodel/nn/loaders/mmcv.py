"""NonLocal1d, NonLocal2d and NonLocal3d of mmcv."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from nlmodel.nn.block import NonlocalBlock
from nlmodel.nn.loaders.assembly import Names, assembled
from nlmodel.nn.loaders.modes import mode_of, needed
from nlmodel.nn.loaders.weights import PeerWeights, told


def from_mmcv(
    source: nn.Module | Mapping[str, Tensor],
    *,
    mode: str | None = None,
    use_scale: bool | None = None,
    norm_eps: float | None = None,
    prefix: str = "",
) -> NonlocalBlock:
    """A NonLocal1d, 2d or 3d of mmcv as a `NonlocalBlock`: the same function of x, to rounding.

    Parameters
    ----------
    source : the module, or its state_dict; mmcv itself is not needed.
    mode : "gaussian", "embedded_gaussian", "dot_product" or "concatenation"; the module says it, a state_dict tells
        only the first and the last from the others.
    use_scale : whether the scalar products of "embedded_gaussian" are divided by the root of the inner width; the
        module says it.
    norm_eps : of the batch norm, when `source` is a state_dict that has one; None is torch's 1e-5.
    prefix : of the names of this block, when `source` holds a whole network.

    Returns  a block with copies of the weights, in training mode where the module is; `source` is unchanged.
    Raises   ChoiceError: a weight is missing or left over, or an option is not told or contradicts the source;
             ShapeError; DtypeError; DomainError.
    Accuracy that of the peer, another order of the sums.
    """
    weights = PeerWeights(source, prefix)
    pooled = weights.has("g.0.conv.weight")
    inner = ".0.conv" if pooled else ".conv"
    mode = mode_of(
        told(weights.module, "mode", mode),
        theta=weights.has("theta.conv.weight"),
        concat=weights.has("concat_project.conv.weight"),
    )
    use_scale = told(weights.module, "use_scale", use_scale)
    names = Names(
        theta="theta.conv",
        phi=f"phi{inner}",
        g=f"g{inner}",
        w_z="conv_out.conv",
        norm="conv_out.bn" if weights.has("conv_out.bn.weight") else None,
        concat="concat_project.conv",
        pool="g.1" if pooled else None,
    )
    scale = needed(use_scale, "use_scale") if mode == "embedded_gaussian" else False
    return assembled(weights, names, mode, scale=scale, norm_eps=norm_eps)
