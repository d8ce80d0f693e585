"""The affinities by name: their kernel, the normalisations that exist for them, the algorithms that are exact."""

from __future__ import annotations

import array_api_compat.torch as torch_namespace
import torch
from torch import Tensor

from nlmodel._arrays import NAMESPACES, check_choice
from nlmodel.errors import ChoiceError
from nlmodel.kernels import Concatenation, DotProduct, ExpDot, Kernel
from nlmodel.nn.definition import NORMALIZATIONS


NAMESPACES.update({torch.Tensor: torch_namespace, torch.nn.Parameter: torch_namespace})

AFFINITIES = ("gaussian", "embedded_gaussian", "dot_product", "concatenation")
ALGORITHMS = ("auto", "dense", "fused", "symmetric", "associative", "moments", "sorted")
STAGE_ALGORITHMS = ("auto", "dense", "fused", "associative", "sorted", "shared")

_WANG = {"gaussian": "softmax", "embedded_gaussian": "softmax", "dot_product": "size", "concatenation": "size"}
_REFUSED = {
    ("dot_product", "softmax"): 'the softmax of scalar products is affinity="embedded_gaussian"',
    ("dot_product", "symmetric"): "row sums of either sign have no square root",
    ("concatenation", "softmax"): 'a softmax needs omega = exp(...); use "row", its quotient by the row sum',
}


def kernel_of(affinity: str, like: Tensor) -> Kernel:
    """omega on embedded features: exp(x.y), x.y, or ReLU(x + y) of one-component features."""
    if affinity == "concatenation":
        one = torch.ones(1, dtype=like.dtype, device=like.device)
        return Concatenation(one, one)
    return DotProduct() if affinity == "dot_product" else ExpDot()


def check_normalization(affinity: str, how: str | None, *, square: bool) -> str:
    """The normalisation of an affinity; None stands for that of Wang et al. 2018."""
    if how is None:
        return _WANG[affinity]
    check_choice(how, "normalize", NORMALIZATIONS)
    why = _REFUSED.get((affinity, how))
    if how == "symmetric" and not square:
        why = "receivers and subsampled senders are two sets of positions"
    if why is not None:
        fitting = [name for name in NORMALIZATIONS if (affinity, name) not in _REFUSED]
        raise ChoiceError(
            f"normalize={how!r} does not exist here",
            got=f"affinity={affinity!r}" + ("" if square else " with subsampling"),
            why=why,
            fix=f"choose among {', '.join(map(repr, fitting))}",
        )
    return how


def exact_algorithms(affinity: str, how: str, *, stage: bool = False, square: bool = True) -> tuple[str, ...]:
    """The algorithms that compute this affinity exactly, the definition first; `square`: without subsampling."""
    if affinity == "dot_product":
        linear = how in ("size", "none") and square and not stage
        return ("dense", "associative", "moments") if linear else ("dense", "associative")
    if affinity == "concatenation":
        return ("dense", "sorted")
    if how in ("softmax", "row"):
        if stage:
            return ("dense", "fused", "shared")
        return ("dense", "fused", "symmetric") if affinity == "gaussian" and square else ("dense", "fused")
    return ("dense",)


def check_algorithm(algorithm: str, affinity: str, how: str, *, stage: bool = False, square: bool = True) -> str:
    """Return `algorithm` when it is "auto" or computes this affinity exactly."""
    check_choice(algorithm, "algorithm", STAGE_ALGORITHMS if stage else ALGORITHMS)
    exact = exact_algorithms(affinity, how, stage=stage, square=square)
    if algorithm not in ("auto", *exact):
        raise ChoiceError(
            f"algorithm={algorithm!r} does not compute this affinity",
            got=f"affinity={affinity!r}, normalize={how!r}" + ("" if square else " with subsampling"),
            why="every algorithm here is exact, for the affinities whose structure it uses",
            fix=f"choose among {', '.join(map(repr, ('auto', *exact)))}",
        )
    return algorithm
