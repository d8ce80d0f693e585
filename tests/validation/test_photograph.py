"""Features of the photograph."""

import numpy as np
import pytest

from nlmodel.errors import DomainError, DtypeError
from nlmodel.testing import assert_close
from validation.photograph import patches, photograph


def test_patches_are_standardised_features():
    X = patches(side=3, stride=50)
    assert X.shape == (12 * 11, 27)
    assert X.dtype == np.float64
    assert_close(X.mean(axis=0), np.zeros(27), "reduction", n=len(X), scale=1.0)
    assert_close(X.std(axis=0), np.ones(27), "reduction", n=len(X))


def test_patches_follow_the_picture():
    X = patches(side=1, stride=100)
    Y = photograph()[::100, ::100].reshape(-1, 3)
    assert_close(X, (Y - Y.mean(axis=0)) / Y.std(axis=0), "reduction", n=len(Y))
    assert np.any(X[::-1] != X)


def test_the_photograph_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        photograph()[0, 0, 0] = 1.0


@pytest.mark.parametrize(("side", "stride", "error"), [(0, 1, DomainError), (1, 0, DomainError), (1.5, 1, DtypeError)])
def test_patches_need_counts(side, stride, error):
    with pytest.raises(error):
        patches(side=side, stride=stride)
