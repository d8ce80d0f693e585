"""Weights that keep the certificate of a stage by construction, whatever an optimiser does to them."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from nlmodel._arrays import check_choice, check_number
from nlmodel.errors import DomainError
from nlmodel.nn.certificate import affinity_family, check_difference
from nlmodel.nn.positions import wide
from nlmodel.nn.stage import NonlocalStage


KINDS = ("contraction", "averaging", "disc")


class SpectralBall(nn.Module):
    """B -> B / max(1, ||B||_2 / radius), the singular values exact: every matrix of norm <= radius, each kept as it is.

    Parameters
    ----------
    radius : > 0.

    Accuracy ||B||_2 <= radius in exact arithmetic too; for that (8 C + sqrt(r)) eps of it is given up.
    Cost     O(C r^2), at each look at the parameter; `torch.nn.utils.parametrize.cached` looks once.
    """

    def __init__(self, radius: float):
        super().__init__()
        self.radius = check_number(radius, "radius", above=0.0)

    def forward(self, B: Tensor) -> Tensor:
        """The matrix of the ball."""
        return ball(B, self.radius)

    def right_inverse(self, B: Tensor) -> Tensor:
        """B itself, projected at the next look."""
        return B

    def extra_repr(self) -> str:
        """The radius."""
        return f"radius={self.radius:g}"


class Contraction(SpectralBall):
    """||B||^2 h s_max <= 2, for tied W = B B^T: ||I - h s W||_2 <= 1 for 0 <= s <= s_max.

    W is symmetric with eigenvalues 0 <= w <= 2/(h s_max), so |1 - h s w| <= 1: a stage of such sub-blocks is
    1-Lipschitz in the measure of a frozen reversible kernel.
    """

    def __init__(self, s_max: float = 2.0, *, step: float = 1.0):
        super().__init__(math.sqrt(2.0 / (check_number(s_max, "s_max", above=0.0) * _step(step))))


class Averaging(SpectralBall):
    """||B||^2 h <= 1, for tied W = B B^T: h W is symmetric with eigenvalues in [0, 1].

    I + h w L = (1 - h w) I + h w K >= 0 for every row-stochastic K >= 0, reversible or not: the maximum principle.
    Each coordinate in the eigenbasis of W^n stays between its extremes in sub-block n; W^n that do not commute have
    no basis where this holds for the whole stage.
    """

    def __init__(self, *, step: float = 1.0):
        super().__init__(_step(step) ** -0.5)


class SpectralDisc(nn.Module):
    """Q -> W_g = (I - Q / max(1, ||Q||_2)) B^T, where B = W_Z lies in the ball of radius (h s_max)^(-1/2).

    W = B (I - Q) B^T is general, not symmetric, and h s_max W^T W <= W + W^T: its numerical range, and with it all
    its eigenvalues mu, lie in the disc |1 - h s mu| <= 1 for 0 <= s <= s_max, and ||I - h s W||_2 <= 1.

    Proof.  Write B for (h s_max)^(1/2) B, of norm <= 1.  With V = [(I - B B^T)^(1/2), B], V V^T = I, we have
    I - h s_max W = V diag(I, Q) V^T, of norm <= 1.  For smaller s, I - h s W is a mean of that and I.
    No other W of rank r has ||I - h s_max W|| <= 1: W x = 0 then needs W^T x = 0, so W = U Y U^T with U^T U = I,
    and I - h s_max Y is the Q.

    Parameters
    ----------
    outer : the parametrised W_Z, a module that returns B (N, C, r).
    """

    def __init__(self, outer: nn.Module):
        super().__init__()
        self._outer = (outer,)  # in a tuple: its parameters are those of W_Z and must be listed once

    def forward(self, Q: Tensor) -> Tensor:
        """W_g, (N, r, C)."""
        B = self._outer[0]()
        one = torch.eye(Q.shape[-1], dtype=Q.dtype, device=Q.device)
        return (one - ball(Q, 1.0)) @ B.mT

    def right_inverse(self, w_g: Tensor) -> Tensor:
        """Q (N, r, r) of the weight nearest to W_g, before it is projected."""
        B = self._outer[0]().to(wide(w_g.dtype))
        one = torch.eye(B.shape[-1], dtype=B.dtype, device=B.device)
        return (one - w_g.to(B.dtype) @ torch.linalg.pinv(B.mT)).to(w_g.dtype)


def certified(stage: NonlocalStage, kind: str, *, s_max: float | None = None) -> NonlocalStage:
    """Parametrise the weights of a stage in place, so that its certificate holds after every optimiser step.

    =============  ===========  =======================================  ==========================================
    kind           stage        W                                        holds, for every input
    =============  ===========  =======================================  ==========================================
    "contraction"  tie="psd"    B B^T with ||B||^2 h s_max <= 2          "contractive", reversible K
    "averaging"    tie="psd"    B B^T with ||B||^2 h <= 1                maximum principle of each sub-block, any
                                                                         row-stochastic K >= 0
    "disc"         tie=None     B (I - Q) B^T, ||Q|| <= 1,               "contractive", reversible K; not symmetric
                                ||B||^2 h s_max <= 1
    =============  ===========  =======================================  ==========================================

    No kind needs W of full rank.  A free pair W_Z W_g of rank r < C fails the first two for almost every value
    (inertia theorem), hence the tie; "disc" ties W_g to W_Z by a free (r, r) matrix.

    Parameters
    ----------
    stage : of the difference form, with an affinity that `affinity_family` bounds.
    kind : "contraction", "averaging" or "disc".
    s_max : largest eigenvalue of -L; None is 1 for positive semidefinite affinities and 2 for other reversible ones.

    Returns  the stage, whose weights within the bound are unchanged.  Its step must stay as it is.
    Raises   DomainError: a tie, affinity or W_Z = 0 that does not fit; ChoiceError.
    """
    check_choice(kind, "kind", KINDS)
    _check_weights(stage, kind)
    if kind == "averaging":
        affinity_family(stage)
        parametrize.register_parametrization(stage, "w_z", Averaging(step=stage.step))
        return stage
    reach = reversible_s_max(stage, s_max)
    if kind == "contraction":
        parametrize.register_parametrization(stage, "w_z", Contraction(reach, step=stage.step))
    else:
        parametrize.register_parametrization(stage, "w_z", SpectralBall((reach * stage.step) ** -0.5))
        outer = stage.get_submodule("parametrizations.w_z")
        parametrize.register_parametrization(stage, "w_g", SpectralDisc(outer))
    return stage


def reversible_s_max(stage: NonlocalStage, s_max: float | None) -> float:
    """`s_max`, or that of the family of the stage, which must be reversible."""
    if s_max is not None:
        return check_number(s_max, "s_max", above=0.0)
    family = affinity_family(stage)
    if family == "markov":
        raise DomainError(
            "a contraction needs a reversible affinity",
            got=f"affinity={stage.embedding.affinity!r} with phi apart from theta",
            why="without a measure ||I - s W|| over the eigenvalues s is no operator norm",
            fix='make the stage with symmetric=True, use kind="averaging", or pass s_max if K is reversible',
        )
    return 1.0 if family == "psd" else 2.0


def ball(B: Tensor, radius: float) -> Tensor:
    """B / max(1, ||B||_2 / radius), inside the ball by as much as rounding can add."""
    exact = B.to(wide(B.dtype))
    units = 8 * max(B.shape[-2:]) * torch.finfo(exact.dtype).eps, min(B.shape[-2:]) ** 0.5 * torch.finfo(B.dtype).eps
    reach = radius / ((1 + units[0]) * (1 + units[1]))
    norm = torch.linalg.svdvals(exact).amax(-1)[..., None, None]
    return (exact / (norm / reach).clamp(min=1.0)).to(B.dtype)


def _step(step: float) -> float:
    return check_number(step, "step", above=0.0)


def _check_weights(stage: NonlocalStage, kind: str) -> None:
    check_difference(stage)
    if parametrize.is_parametrized(stage):
        raise DomainError(
            "the weights of this stage are parametrised already",
            got=f"kind={kind!r} on a parametrised stage",
            fix="remove those parametrisations, or make a new stage",
        )
    tied = stage.tie == "psd"
    if tied == (kind == "disc"):
        fitting = '"contraction" or "averaging"' if tied else '"disc"'
        raise DomainError(
            f"kind={kind!r} does not fit the weights of this stage",
            got=f"tie={stage.tie!r}",
            why="B B^T is symmetric" if tied else "a free product W_Z W_g is not symmetric, at no scaling",
            fix=f"use kind={fitting}, or make the stage with tie={None if tied else 'psd'!r}",
        )
    if kind == "disc" and not bool(stage.w_z.detach().abs().amax((-2, -1)).gt(0).all()):
        raise DomainError(
            "weights of the disc cannot start at W_Z = 0",
            got="a sub-block with W_Z = 0",
            why="the gradient of B (I - Q) B^T vanishes at B = 0, so that training would never move it",
            fix='make the stage with w_init="he" or a small standard deviation',
        )
