"""NONLocalBlock1D, 2D and 3D of AlexHex7's Non-local_pytorch, in its four files."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from nlmodel._arrays import check_number
from nlmodel.nn.block import NonlocalBlock
from nlmodel.nn.loaders.assembly import Form, Names, assembled, batch_norm
from nlmodel.nn.loaders.modes import mode_of
from nlmodel.nn.loaders.weights import PeerWeights


def from_alexhex(
    source: nn.Module | Mapping[str, Tensor],
    *,
    mode: str | None = None,
    norm_eps: float = 1e-5,
    prefix: str = "",
) -> NonlocalBlock:
    """A NONLocalBlock1D, 2D or 3D of Non-local_pytorch as a `NonlocalBlock`: the same function of x, to rounding.

    Parameters
    ----------
    source : the module, or its state_dict.
    mode : "gaussian", "embedded_gaussian", "dot_product" or "concatenation".  That library has one class of the same
        name for each, so that neither module nor state_dict tells the second from the third.
    norm_eps : of the batch norm, when `source` is a state_dict that has one.
    prefix : of the names of this block, when `source` holds a whole network.

    Returns  a block with copies of the weights; `source` is unchanged.
    Raises   ChoiceError: a weight is missing or left over, or the mode is not told; ShapeError; DtypeError.
    """
    check_number(norm_eps, "norm_eps", above=0.0)
    weights = PeerWeights(source, prefix)
    pooled, normed = weights.has("g.0.weight"), weights.has("W.1.weight")
    mode = mode_of(mode, theta=weights.has("theta.weight"), concat=weights.has("concat_project.0.weight"))
    names = Names(
        theta="theta",
        phi="phi.0" if pooled else "phi",
        g="g.0" if pooled else "g",
        w_z="W.0" if normed else "W",
        norm="W.1" if normed else None,
        concat="concat_project.0",
    )
    norm = source.get_submodule("W.1") if isinstance(source, nn.Module) and normed else None
    form = Form(
        mode,
        subsample="after" if pooled else None,
        training=isinstance(source, nn.Module) and source.training,
        **{"eps": norm_eps, **batch_norm(norm)},
    )
    return assembled(weights, names, form)
