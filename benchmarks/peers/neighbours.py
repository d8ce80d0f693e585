"""Sparse matrices of a truncated Gaussian as others assemble them, by k-d trees of SciPy and scikit-learn."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.spatial import KDTree

from benchmarks.peers.installed import require


def query_pairs(X: np.ndarray, reach: float, scale: float) -> csr_array:
    """Pairs of a tree, each once; both halves and the diagonal are put together."""
    pairs = KDTree(X).query_pairs(reach, output_type="ndarray").astype(np.int32)
    i, j = pairs.T
    values = np.exp(-np.sum((X[i] - X[j]) ** 2, axis=1) / (2 * scale**2))
    own = np.arange(len(X), dtype=np.int32)
    rows, columns = np.concatenate([i, j, own]), np.concatenate([j, i, own])
    return coo_array((np.concatenate([values, values, np.ones(len(X))]), (rows, columns))).tocsr()


def distance_matrix(X: np.ndarray, reach: float, scale: float) -> csr_array:
    """The distances of a tree with itself."""
    tree = KDTree(X)
    found = tree.sparse_distance_matrix(tree, reach, output_type="ndarray")
    values = np.exp(-(found["v"] ** 2) / (2 * scale**2))
    rows, columns = found["i"].astype(np.int32), found["j"].astype(np.int32)
    return coo_array((values, (rows, columns)), shape=(len(X),) * 2).tocsr()


def radius_graph(X: np.ndarray, reach: float, scale: float) -> csr_array:
    """The graph of scikit-learn, on all cores."""
    graph = require("sklearn.neighbors").radius_neighbors_graph(X, reach, mode="distance", include_self=True, n_jobs=-1)
    graph.data = np.exp(-(graph.data**2) / (2 * scale**2))
    return csr_array(graph)
