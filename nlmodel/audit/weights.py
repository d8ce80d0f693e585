"""The audit of a weight W, or of a bottleneck W = W_Z W_g."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nlmodel._arrays import check_alike, check_array, check_square
from nlmodel.audit.report import Audit
from nlmodel.audit.sections.growth import growth
from nlmodel.audit.sections.signs import signs
from nlmodel.audit.sections.weight_stability import weight_stability
from nlmodel.audit.weighed import Weighed
from nlmodel.errors import ShapeError


def audit_weights(
    W: np.ndarray,
    W_g: np.ndarray | None = None,
    *,
    unit: float | None = None,
    name: str = "weights",
    assumed: Sequence[str] = (),
) -> Audit:
    """What a trained weight does in a nonlocal stage: signs against chance, growth, step limits for any kernel.

    Parameters
    ----------
    W : (C, C) float64 array; or W_Z of shape (C, r), when `W_g` is given.
    W_g : (r, C) float64 array.
    unit : machine epsilon of the precision in which W was stored, for its numerical rank; default that of float64.

    Returns  `Audit`.
    Raises   ShapeError, DtypeError, NonFiniteError: not a real finite square matrix, or factors that do not fit.
    Cost     O(C^3) with about 300 symmetric eigensolves for the null model.
    """
    check_array(W, "W", ndim=2)
    factors = None
    if W_g is None:
        check_square(W, "W")
        matrix, subject = W, f"weight of {len(W):,} channels"
    else:
        check_alike(W=W, W_g=check_array(W_g, "W_g", ndim=2))
        if W.shape != W_g.shape[::-1]:
            raise ShapeError("W_Z and W_g must be (C, r) and (r, C)", got=f"shapes {W.shape} and {W_g.shape}")
        matrix, factors = W @ W_g, (W, W_g)
        subject = f"bottleneck of {W.shape[0]:,} channels through {W.shape[1]:,}"
    x = Weighed(matrix, factors, float(np.finfo(W.dtype).eps) if unit is None else unit)
    sections, groups = zip(*(part(x) for part in (signs, growth, weight_stability)), strict=True)
    findings = (f for group in (groups[2], groups[0], groups[1]) for f in group)  # what to act on first
    return Audit(name, "weights", subject, tuple(assumed), tuple(findings), tuple(sections))
