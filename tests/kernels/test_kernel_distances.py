"""Squared distances: one pass over points in double precision is the sum over the features, to the last bit."""

import numpy as np
import pytest
import torch

from nlmodel.kernels._distances import squared_distances


@pytest.mark.parametrize("dim", [1, 2, 3, 8, 17])
def test_one_pass_is_the_sum_over_the_features(dim, rng):
    X, Y = 10 * rng.standard_normal((70, dim)), 10 * rng.standard_normal((50, dim))
    found = squared_distances(X, Y)
    features = squared_distances(torch.from_numpy(X), torch.from_numpy(Y)).numpy()
    assert np.array_equal(found, features)
    assert np.array_equal(found, squared_distances(X[None], Y[None])[0])
    own = squared_distances(X, X)
    assert np.array_equal(own, own.T) and not np.any(np.diagonal(own))
    backwards = squared_distances(X[:, ::-1], Y[:, ::-1])
    assert dim < 3 or not np.array_equal(found, backwards)  # control: another order of the sum shows in the last bits


def test_points_in_any_order_in_memory(rng):
    X = rng.standard_normal((40, 6))
    X.flags.writeable = False
    rows, columns = X[::-2, ::3], X[1::2, ::3]
    assert np.array_equal(squared_distances(rows, columns), squared_distances(rows.copy(), columns.copy()))
    assert not np.array_equal(squared_distances(rows, columns), squared_distances(columns, rows))  # control
    assert squared_distances(X[:0], X).shape == (0, 40)
