"""Distances between laws, and the entropy that a chain produces."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import kl_div

from nlmodel._arrays import check_array
from nlmodel.errors import DtypeError
from nlmodel.markov.checks import check_chain, check_law
from nlmodel.markov.reversibility import edge_flows


def total_variation(p: Any, q: Any) -> float:
    """The largest difference of the probability of an event.

        TV(p, q) = (1/2) sum_i |p_i - q_i|

    Parameters
    ----------
    p, q : (M,) probability laws of one dtype.
    """
    p, q = _laws(p, q)
    return 0.5 * float(np.sum(np.abs(p - q)))


def relative_entropy(p: Any, q: Any) -> float:
    """The Kullback-Leibler divergence.

        KL(p || q) = sum_i p_i log(p_i / q_i),     0 log 0 = 0

    Infinite when p charges a state that q does not.  It never grows when both laws take the same step of a chain.

    Parameters
    ----------
    p, q : (M,) probability laws of one dtype.

    Accuracy summed as p (d - log(1 + d)) with d = (q - p) / p, whose terms are all >= 0: a relative error of about
             eps / max|d|, however close p and q are.
    """
    p, q = _laws(p, q)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        d = (q - p) / p
        near = p * (d - np.log1p(d))
    return float(np.sum(np.where(np.abs(d) < 0.5, near, kl_div(p, q))))


def entropy_production(P: Any) -> float:
    """How fast the chain in equilibrium tells the direction of time.

        (1/2) sum_ij (F_ij - F_ji) log(F_ij / F_ji),     F_ij = pi_i P_ij

    This is the relative entropy, a step (or, for a generator, a unit of time), between the chain and its time
    reversal. Every term is >= 0 and vanishes only where F_ij = F_ji: the sum is 0 if and only if the chain is
    reversible.

    Parameters
    ----------
    P : (M, M) transition matrix or generator, row i = from; an operator stands for its generator.

    Returns  float >= 0; infinite when some edge has no way back.
    Raises   DomainError: several recurrent classes.
    Accuracy rounding of pi enters squared: for a reversible chain the result is about eps^2.
    Cost     O(nnz) beyond the stationary law.
    """
    flows = edge_flows(check_chain(P)[0], None)
    if flows is None:
        return math.inf
    forth, back = flows
    return 0.5 * float(np.sum((np.exp(forth) - np.exp(back)) * (forth - back)))


def _laws(p: Any, q: Any) -> tuple[np.ndarray, np.ndarray]:
    size = check_array(p, "p", ndim=1).shape[0]
    p, q = check_law(p, "p", size), check_law(q, "q", size)
    if p.dtype != q.dtype:
        raise DtypeError("p and q must share their dtype", got=f"{p.dtype} and {q.dtype}")
    return p.astype(np.float64), q.astype(np.float64)
