"""Detailed balance solved along a spanning tree: the measure, and how far the other edges contradict it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from nlmodel.markov.matrix import Sparse, longest_row
from nlmodel.testing import tolerance


@dataclass(frozen=True, eq=False)
class Balance:
    """The measure m with m_i P_ij = m_j P_ji on the edges of a spanning forest.

    Attributes
    ----------
    log_measure : (M,) log m, 0 at the root of each tree; None when some edge has no way back.
    components : number of trees, that is of connected components.
    gap : max over all edges |log(m_i P_ij) - log(m_j P_ji)|, infinite for a one-way edge.
    rounding : what `gap` may be by rounding alone.
    """

    log_measure: np.ndarray | None
    components: int
    gap: float
    rounding: float

    @property
    def holds(self) -> bool:
        """Whether detailed balance holds on every edge, to rounding."""
        return self.gap <= self.rounding


def balance(csr: Sparse, precision: np.dtype) -> Balance:
    """Detailed balance of the float64 chain `csr`, whose entries carry the rounding of `precision`.

    With a_ij = log |P_ij| - log |P_ji|, 0 on the diagonal whatever its sign, the measure is log m_j = log m_i + a_ij
    along the tree; the sums along all paths to the root are found together by pointer jumping.
    Cost: O(nnz + M log depth).
    """
    logs = csr_array((np.log(np.abs(csr.data)), csr.indices, csr.indptr), shape=csr.shape)
    back = logs.T.tocsr()
    if not (np.array_equal(logs.indptr, back.indptr) and np.array_equal(logs.indices, back.indices)):
        return Balance(None, 0, math.inf, 0.0)
    ratio = logs.data - back.data
    parent, components = _spanning_forest(csr)
    lengths = np.diff(csr.indptr)
    log_measure = np.zeros(csr.shape[0])
    log_measure[parent >= 0] = -ratio[csr.indices == np.repeat(parent, lengths)]
    ancestor, reach = np.where(parent < 0, np.arange(len(parent)), parent), 1
    while np.any(ancestor != ancestor[ancestor]):
        log_measure = log_measure + log_measure[ancestor]
        ancestor, reach = ancestor[ancestor], 2 * reach
    defect = np.abs(np.repeat(log_measure, lengths) - log_measure.take(csr.indices) + ratio)
    cycle = 2 * reach + 1
    largest = float(np.max(np.abs(logs.data), initial=1.0))
    rounding = tolerance("reduction", precision, n=cycle * longest_row(csr))
    rounding += tolerance("reduction", np.float64, n=cycle, scale=largest)
    return Balance(log_measure, components, float(np.max(defect, initial=0.0)), rounding)


def _spanning_forest(graph: Sparse) -> tuple[np.ndarray, int]:
    """Parent of each state in breadth-first trees, -1 for a root; and the number of trees."""
    size = graph.shape[0]
    order, found = breadth_first_order(graph, 0, return_predecessors=True)
    components = 1
    if len(order) < size:
        components, label = connected_components(graph, directed=False)
        roots = np.unique(label, return_index=True)[1].astype(graph.indices.dtype)
        above = csr_array((np.ones(components), (np.full(components, size), roots)), shape=(size + 1, size + 1))
        below = csr_array(
            (graph.data, graph.indices, np.append(graph.indptr, graph.indptr[-1])), shape=(size + 1, size + 1)
        )
        _, found = breadth_first_order(above + below, size, return_predecessors=True)
        found = found[:size]
    return np.where((found < 0) | (found >= size), -1, found).astype(graph.indices.dtype), components
