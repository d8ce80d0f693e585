"""Chains that the tests of the Markov package share: closed forms, random ones, and Hypothesis strategies."""

import numpy as np
from hypothesis import strategies as st
from scipy.sparse import csr_array, diags_array

import nlmodel.markov as mk


def row_normalized(W):
    """Rows divided by their sums, dense or sparse."""
    sums = W.sum(axis=1)
    return csr_array(diags_array(1 / sums) @ W) if hasattr(W, "tocsr") else W / sums[:, None]


def two_states(a, b):
    """Rate a from 0 to 1 and b back."""
    return np.array([[-a, a], [b, -b]])


def ehrenfest(N):
    """N balls in two urns, one picked at random and moved; the state is the number in the first urn."""
    k = np.arange(N + 1)
    return np.diag((N - k[:-1]) / N, 1) + np.diag(k[1:] / N, -1)


def lazy_cycle(M):
    """Sparse: stay with probability 1/2, else one step left or right on a ring; lambda_k = cos^2(pi k / M)."""
    i = np.arange(M)
    data = np.concatenate([np.full(M, 0.5), np.full(2 * M, 0.25)])
    return csr_array((data, (np.tile(i, 3), np.concatenate([i, (i + 1) % M, (i - 1) % M]))), shape=(M, M))


def one_way_ring(M, forward=0.9):
    """Sparse: on a ring, forward with the given probability, else back; not reversible, law uniform."""
    i = np.arange(M)
    data = np.concatenate([np.full(M, forward), np.full(M, 1 - forward)])
    return csr_array((data, (np.tile(i, 2), np.concatenate([(i + 1) % M, (i - 1) % M]))), shape=(M, M))


def downhill(M, ratio):
    """A birth-death chain whose law falls by `ratio` from each state to the next."""
    up, down = 0.5 * ratio / (1 + ratio), 0.5 / (1 + ratio)
    P = np.diag(np.full(M - 1, up), 1) + np.diag(np.full(M - 1, down), -1)
    return P + np.diag(1 - P.sum(axis=1))


def drawn(least, most, *kinds):
    """Strategy: arrays of numbers in (0.01, 1), for each kind "matrix", "symmetric", "law" or "field", of one size.

    One seed an example keeps the drawing fast; the power makes most entries small.
    """

    def build(M, power, seed):
        rng = np.random.default_rng(seed)
        made = []
        for kind in kinds:
            numbers = 0.01 + 0.99 * rng.random((M, M) if kind in ("matrix", "symmetric") else M) ** power
            if kind == "symmetric":
                numbers = (numbers + numbers.T) / 2
            elif kind == "law":
                numbers = numbers / numbers.sum()
            elif kind == "field":
                numbers = 2 * numbers - 1
            made.append(numbers)
        return tuple(made) if len(made) > 1 else made[0]

    return st.builds(build, st.integers(least, most), st.integers(1, 6), st.integers(0, 2**32 - 1))


def affinities(*others, most=5, symmetric=False, least=2):
    """A positive (M, M) matrix, and arrays of the other kinds."""
    return drawn(least, most, "symmetric" if symmetric else "matrix", *others)


def transitions(*others, **keywords):
    """A transition matrix, and arrays of the other kinds."""
    return affinities(*others, **keywords).map(lambda drawn: first_through(row_normalized, drawn))


def generators(*others, **keywords):
    """A generator, and arrays of the other kinds."""
    return affinities(*others, **keywords).map(lambda drawn: first_through(mk.generator, drawn))


def first_through(function, drawn):
    return (function(drawn[0]), *drawn[1:]) if isinstance(drawn, tuple) else function(drawn)
