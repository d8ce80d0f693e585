"""The peers' sparse matrices are the kernel's."""

import types

import numpy as np
import pytest

from benchmarks.case import Setting
from benchmarks.million import main
from benchmarks.peers import neighbours
from benchmarks.workloads import sparse
from nlmodel.testing import assert_close


class Graph:
    """What scikit-learn's function of this name returns."""

    @staticmethod
    def radius_neighbors_graph(X, reach, *, mode, include_self, n_jobs):
        gaps = np.sqrt(((X[:, None] - X) ** 2).sum(-1))
        graph = neighbours.coo_array(np.where(gaps <= reach, gaps + 1.0, 0.0)).tocsr()
        graph.data -= 1.0
        return graph


@pytest.mark.parametrize("peer", [neighbours.query_pairs, neighbours.distance_matrix, neighbours.radius_graph])
def test_a_peer_assembles_the_same_matrix(monkeypatch, peer):
    monkeypatch.setattr(neighbours, "require", lambda name: types.SimpleNamespace(**vars(Graph)))
    X, cell = sparse.jittered(Setting(quick=True, precision="float64"), 1000)
    exact = sparse.kernel(X, cell)(X)
    found = peer(X, sparse.HORIZON * cell, cell).toarray()
    assert_close(found, exact, "reduction", n=32)
    assert np.count_nonzero(found) == np.count_nonzero(exact)
    assert np.count_nonzero(peer(X, 2 * cell, cell).toarray()) < np.count_nonzero(exact)  # control


def test_the_shuffled_points_are_the_same_points():
    setting = Setting(quick=True, precision="float64")
    rows, mixed = sparse.jittered(setting, 1000)[0], sparse.shuffled(setting, 1000)[0]
    assert np.array_equal(np.sort(rows, axis=0), np.sort(mixed, axis=0)) and not np.array_equal(rows, mixed)


def test_the_modes_of_few_points(capsys):
    main(["--points", "600"])
    out = capsys.readouterr().out
    assert out.count("announced") == 3 and "constants are steady to" in out
    residual = float(out.split("residual of the modes")[1].split()[0])
    assert residual <= 1e-6
