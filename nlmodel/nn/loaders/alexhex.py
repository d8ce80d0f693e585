"""NONLocalBlock1D, 2D and 3D of AlexHex7's Non-local_pytorch, in its four files."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from nlmodel.nn.block import NonlocalBlock
from nlmodel.nn.loaders.assembly import Names, assembled
from nlmodel.nn.loaders.modes import mode_of
from nlmodel.nn.loaders.weights import PeerWeights, told


def from_alexhex(
    source: nn.Module | Mapping[str, Tensor],
    *,
    mode: str | None = None,
    norm_eps: float | None = None,
    prefix: str = "",
) -> NonlocalBlock:
    """A NONLocalBlock1D, 2D or 3D of Non-local_pytorch as a `NonlocalBlock`: the same function of x, to rounding.

    Parameters
    ----------
    source : the module, or its state_dict.
    mode : "gaussian", "embedded_gaussian", "dot_product" or "concatenation".  That library has one class of the same
        name for each, so that neither module nor state_dict tells the second from the third.
    norm_eps : of the batch norm, when `source` is a state_dict that has one; None is torch's 1e-5.
    prefix : of the names of this block, when `source` holds a whole network.

    Returns  a block with copies of the weights, in training mode where the module is; `source` is unchanged.
    Raises   ChoiceError: a weight is missing or left over, the mode is not told, or an option contradicts the source;
             ShapeError; DtypeError; DomainError.
    Accuracy that of the peer, another order of the sums.
    """
    weights = PeerWeights(source, prefix)
    pooled, normed = weights.has("g.0.weight"), weights.has("W.1.weight")
    mode = mode_of(
        told(weights.module, "mode", mode),  # of the first release, which had one class for all
        theta=weights.has("theta.weight"),
        concat=weights.has("concat_project.0.weight"),
    )
    names = Names(
        theta="theta",
        phi="phi.0" if pooled else "phi",
        g="g.0" if pooled else "g",
        w_z="W.0" if normed else "W",
        norm="W.1" if normed else None,
        concat="concat_project.0",
        pool="g.1" if pooled else None,
    )
    return assembled(weights, names, mode, norm_eps=norm_eps)
