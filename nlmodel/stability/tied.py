"""Two closed forms for networks: a weight that is stable by construction, and how fast a stage forgets."""

from __future__ import annotations

import math

from nlmodel._arrays import Array, check_array, check_count, check_number, namespace, transpose
from nlmodel.errors import DomainError


def tied_weight(B: Array, s_max: float = 2.0) -> Array:
    """W = c B B^T with the largest c <= 1 that makes every nonlocal sub-block a contraction.

        c = min(1, 2 / (s_max ||B||_2^2)),     then ||I - s W||_2 <= 1 for 0 <= s <= s_max

    Proof.  W is symmetric with eigenvalues 0 <= w <= c ||B||^2 <= 2/s_max, so |1 - s w| <= 1.  A stage of such
    blocks is 1-Lipschitz in the measure of a frozen reversible kernel.  With an untied pair W_Z W_g^T of rank r
    this is impossible in general: the symmetric part then has r negative eigenvalues.

    Parameters
    ----------
    B : (..., C, r) real array of any library.
    s_max : largest eigenvalue of -L: 2 serves every reversible Markov kernel, 1 every positive semidefinite one.

    Returns  (..., C, C) array like B.
    Raises   DomainError: s_max <= 0; DtypeError, ShapeError, NonFiniteError.
    Accuracy ||W|| s_max <= 2 (1 + 4 C eps).
    Cost     singular values of B, O(C r^2), and one product.
    """
    check_array(B, "B", min_ndim=2)
    check_number(s_max, "s_max", above=0.0)
    xp = namespace(B)
    top = xp.max(xp.linalg.svdvals(B), axis=-1)[..., None, None]
    B = B / xp.clip(math.sqrt(s_max / 2) * top, min=1.0)
    return xp.matmul(B, transpose(B))


def oversmoothing_rate(dobrushin: float, mu: float, blocks: int) -> float:
    """What is left of the spread of a field after `blocks` sub-blocks Z <- Z + mu (K - I) Z.

        osc(Z^N) <= (1 - mu (1 - tau))^N osc(Z^0),     osc(Z) = max_i Z_i - min_i Z_i

    Proof.  osc(K Z) <= tau osc(Z) with Dobrushin's coefficient tau = (1/2) max_ij sum_k |K_ik - K_jk|, and
    Z + mu (K - I) Z = (1 - mu) Z + mu K Z with nonnegative factors when 0 <= mu <= 1.

    Parameters
    ----------
    dobrushin : tau in [0, 1].
    mu : step in [0, 1].
    blocks : number of sub-blocks N >= 0.

    Raises   DomainError: tau or mu outside [0, 1].
    """
    for name, value in (("dobrushin", dobrushin), ("mu", mu)):
        if check_number(value, name, at_least=0.0) > 1:
            raise DomainError(f"{name} must be <= 1", got=value, why="beyond, a step is no average of Z and K Z")
    return (1 - mu * (1 - dobrushin)) ** check_count(blocks, "blocks")
