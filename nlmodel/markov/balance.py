"""Detailed balance solved along a spanning tree: the measure, and how far the other edges contradict it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from scipy.sparse import csr_array, issparse
from scipy.sparse.csgraph import breadth_first_order, connected_components

from nlmodel._jit import compiled
from nlmodel.markov.matrix import Matrix, Sparse, as_csr, longest_row
from nlmodel.testing import tolerance


COMPILED_FROM = 10_000  # entries, so that few chains wait for numba to load
EDGES_AT_ONCE = 2**14  # so that what they need for a moment stays near the processor


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


def balance(A: Matrix) -> Balance:
    """Detailed balance of a checked chain.

    With a_ij = log |A_ij| - log |A_ji|, 0 on the diagonal whatever its sign, the measure is log m_j = log m_i + a_ij
    along the tree: from state 0 to all others when there are no zeros, else breadth first.
    Cost: O(nnz + M log depth).
    """
    if not issparse(A) and np.all(A):
        logs = np.log(np.abs(A.astype(np.float64)))
        ratio = logs - logs.T
        measure = ratio[0]
        return _judged(A, measure, 1, largest(measure[:, None] - measure + ratio, 0.0), largest(logs, 1.0), 3)
    csr = as_csr(A)
    loops = compiled("markov.balance_compiled") if csr.nnz >= COMPILED_FROM else None
    return _edge_by_edge(A, csr, loops) if loops else _all_edges_at_once(A, csr)


def _edge_by_edge(A: Matrix, csr: Sparse, loops: ModuleType) -> Balance:
    """With compiled loops."""
    edges = csr.indptr, csr.indices, csr.data
    measure, components, depth = loops.along_trees(*edges)
    gap = loops.largest_defect(*edges, measure) if components else math.inf
    if gap == math.inf:
        return Balance(None, 0, math.inf, 0.0)
    sizes = np.abs(csr.data)
    size = max(1.0, abs(math.log(np.min(sizes))), abs(math.log(np.max(sizes))))
    return _judged(A, measure, components, gap, size, 2 * depth + 1)


def _all_edges_at_once(A: Matrix, csr: Sparse) -> Balance:
    """With NumPy and SciPy alone."""
    entries = np.abs(csr.data)
    logs = csr_array((np.log(entries, out=entries), csr.indices, csr.indptr), shape=csr.shape)
    back = logs.T.tocsr()
    if not (np.array_equal(logs.indptr, back.indptr) and np.array_equal(logs.indices, back.indices)):
        return Balance(None, 0, math.inf, 0.0)
    ratio, lengths = np.subtract(logs.data, back.data, out=back.data), np.diff(csr.indptr)
    parent, components = _spanning_forest(csr)
    measure, reach = _along_tree(parent, -ratio[csr.indices == np.repeat(parent, lengths)])
    defect = np.repeat(measure, lengths)
    for first in range(0, len(defect), EDGES_AT_ONCE):
        edges = slice(first, first + EDGES_AT_ONCE)
        defect[edges] -= measure[csr.indices[edges]]
    defect += ratio
    return _judged(A, measure, components, largest(defect, 0.0), largest(logs.data, 1.0), 2 * reach + 1)


def _judged(A: Matrix, measure: np.ndarray, components: int, gap: float, size: float, cycle: int) -> Balance:
    """The result, with the rounding that entries of A and sums of `cycle` logarithms of that size carry."""
    rounding = tolerance("reduction", A.dtype, n=cycle * longest_row(A))
    rounding += tolerance("reduction", np.float64, n=cycle, scale=size)
    return Balance(measure, components, gap, rounding)


def largest(x: np.ndarray, least: float) -> float:
    """max |x|, at least `least`."""
    return max(float(np.max(x, initial=least)), -float(np.min(x, initial=-least)))


def _along_tree(parent: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, int]:
    """The sum of the steps from each state to its root by pointer jumping, and a bound on their number."""
    total = np.zeros(len(parent))
    total[parent >= 0] = steps
    ancestor, reach = np.where(parent < 0, np.arange(len(parent)), parent), 1
    while np.any(ancestor != ancestor[ancestor]):
        total = total + total[ancestor]
        ancestor, reach = ancestor[ancestor], 2 * reach
    return total, reach


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
