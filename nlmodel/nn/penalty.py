"""A differentiable price for weights beyond the step limit of a stage."""

from __future__ import annotations

import torch
from torch import Tensor

from nlmodel.nn.parametrizations import reversible_s_max
from nlmodel.nn.positions import wide
from nlmodel.nn.stage import NonlocalStage


def cfl_penalty(stage: NonlocalStage, *, s_max: float | None = None) -> Tensor:
    """What the sub-blocks of a stage lack to being contractions.

        sum_n sum_k max(0, sigma_k(I - h s_max W^n) - 1)^2

    It is 0 exactly where ||I - h s W^n||_2 <= 1 for all n and 0 <= s <= s_max, the energy-norm region: there, no
    reversible affinity with that s_max lets a field grow.  Continuously differentiable, since the singular values
    that meet at 1 have no price.

    Parameters
    ----------
    s_max : largest eigenvalue of -L; None is 1 for positive semidefinite affinities and 2 for other reversible ones.

    Returns  () tensor in at least float32, to be added to a loss.
    Raises   DomainError: no bounded reversible family and no `s_max`.
    Accuracy sigma_k within 8 C eps (1 + h s_max ||W^n||_F) of 1 count as 1.
    Cost     O(N C^3).
    """
    reach = reversible_s_max(stage, s_max) * stage.step
    W = stage.weight_matrices()
    W = reach * W.to(wide(W.dtype))
    one = torch.eye(stage.channels, dtype=W.dtype, device=W.device)
    size = 1 + torch.linalg.matrix_norm(W.detach())[..., None]
    rounding = 8 * stage.channels * torch.finfo(W.dtype).eps * size
    beyond = torch.linalg.svdvals(one - W) - 1
    return torch.where(beyond > rounding, beyond, torch.zeros_like(beyond)).square().sum()
