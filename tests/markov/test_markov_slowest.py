"""The slowest mode of a large sparse chain by lumps: its parts, and the rate against a factorisation and all modes."""

import numpy as np
import pytest
from scipy.sparse import csr_array, diags_array, eye_array, kron

import nlmodel.markov as mk
from nlmodel.errors import ConvergenceError
from nlmodel.markov.davidson import smallest_beside
from nlmodel.markov.lumping import DAMPING, STRONG, indicators, lumped, lumps, two_level_inverse
from nlmodel.markov.slowest import RELATIVE, decay_rate, slowest_mode, slowest_rate
from nlmodel.markov.symmetric import laplacian, pseudo_inverse, symmetric_form
from nlmodel.testing import assert_close, tolerance
from tests.markov.chains import lazy_cycle, row_normalized


def line(n):
    """A path of n states with loops."""
    return csr_array(diags_array([np.ones(n - 1), 0.3 * np.ones(n), np.ones(n - 1)], offsets=[-1, 0, 1]))


def grid(n, across=1.0):
    """n x n states, the moves along one axis `across` times as likely."""
    return row_normalized(csr_array(across * kron(line(n), eye_array(n)) + kron(eye_array(n), line(n))))


def random_weights(n):
    """A grid whose weights extend over four decades."""
    W = grid(n).tocoo()
    W = csr_array((10 ** (4 * np.random.default_rng(3).random(W.nnz)), (W.row, W.col)), shape=W.shape)
    return row_normalized(csr_array(W + W.T))


def two_wells(n, temperature):
    """n x n states in a double well, with rates between neighbours by the geometric mean of the law."""
    x = np.linspace(-1.5, 1.5, n)
    energy = ((x[:, None] ** 2 - 1) ** 2 + x**2).ravel() / temperature
    law = np.exp(-energy + energy.min())
    root, edges = diags_array(np.sqrt(law)), kron(line(n), eye_array(n)) + kron(eye_array(n), line(n))
    W = root @ edges @ root
    exits = W.sum(axis=1)
    return row_normalized(csr_array(W + diags_array(law * np.max(exits / law) - exits)))


def expander(M, degree):
    """A random regular graph with loops."""
    to = np.concatenate([np.random.default_rng(k).permutation(M) for k in range(degree)])
    W = csr_array((np.ones(len(to)), (np.tile(np.arange(M), degree), to)), shape=(M, M))
    return row_normalized(csr_array(W + W.T + eye_array(M)))


def star(M):
    """One state beside all others."""
    W = csr_array((np.ones(M - 1), (np.zeros(M - 1, int), np.arange(1, M))), shape=(M, M))
    return row_normalized(csr_array(W + W.T + eye_array(M)))


CHAINS = {
    "ring": lazy_cycle(700),
    "grid": grid(26),
    "one axis stronger": grid(26, 1e4),
    "random weights": random_weights(26),
    "wells": two_wells(26, 0.1),
    "expander": expander(600, 5),
    "star": star(600),
    "complete": row_normalized(csr_array(np.ones((520, 520)))),
}
CHAINS = {name: mk.check_transition_matrix(P) for name, P in CHAINS.items()}


SLOW = "ring", "grid", "one axis stronger", "random weights", "wells"


@pytest.fixture(params=CHAINS, ids=str)
def chain(request):
    P = CHAINS[request.param]
    return P, symmetric_form(P)


@pytest.fixture(params=SLOW, ids=str)
def slow(request):
    return symmetric_form(CHAINS[request.param])


def test_the_rate_is_that_of_all_modes_and_of_the_factorisation(chain):
    P, form = chain
    rate, distances = slowest_rate(P, form), np.linalg.eigvalsh(laplacian(form).toarray())
    allowed = tolerance("solve", n=10)
    assert abs(rate - distances[1]) <= allowed
    by_factors = decay_rate(P, slowest_mode(form, pseudo_inverse(form)))
    assert abs(rate - by_factors) <= tolerance("solve", n=P.shape[0])
    assert mk.spectral_gap(P, absolute=False).gap == rate
    others = distances[distances > (1 + 1e-6) * distances[1]]
    assert np.all(np.abs(rate - others) > allowed)  # control: it is none of the others


def test_lumps_begin_it_so_that_few_steps_are_enough(slow):
    assert few_steps(slow, two_level_inverse(slow))
    assert not few_steps(slow, lambda x: DAMPING / slow.exits * x)  # control: without the lumped chain


def few_steps(form, rough_inverse, steps=50):
    """Whether Davidson's method converges in so many."""
    L, rounding = laplacian(form), tolerance("elementwise", scale=2.0)
    mode = smallest_beside(lambda x: L @ x, rough_inverse, form.root, steps=steps, relative=RELATIVE, rounding=rounding)
    if mode is not None:
        assert_close(np.array([mode @ mode, mode @ form.root]), np.array([1.0, 0.0]), "solve", n=steps)
    return mode is not None


def test_the_rough_inverse_is_symmetric_and_definite_and_knows_the_law(chain):
    form = chain[1]
    inverse = np.stack([two_level_inverse(form)(x) for x in np.eye(len(form.root))[:40]])[:, :40]
    assert_close(inverse, inverse.T.copy(), "solve", n=10)
    assert np.min(np.linalg.eigvalsh(inverse)) > 0


def test_every_lump_is_one_state_with_strong_neighbours(chain):
    form = chain[1]
    label = lumps(form.matrix)
    assert lumps_of_neighbours(form, label)
    shuffled = np.random.default_rng(5).permutation(label)
    assert label.max() < 2 or not lumps_of_neighbours(form, shuffled)  # control


def lumps_of_neighbours(form, label):
    """Whether each lump holds a state that has strong entries to all others of it."""
    S = form.matrix.toarray()
    np.fill_diagonal(S, 0.0)
    largest = S.max(axis=1)
    beside = (STRONG * np.minimum(largest[:, None], largest) <= S) | np.eye(len(S), dtype=bool)
    parts = [np.flatnonzero(label == a) for a in range(label.max() + 1)]
    return all(len(part) and np.any(np.all(beside[np.ix_(part, part)], axis=1)) for part in parts)


def test_the_lumped_chain_is_the_one_in_equilibrium(slow):
    label, law, S = lumps(slow.matrix), slow.root**2, slow.matrix.toarray()
    P = S * slow.root / slow.root[:, None]
    member = np.eye(label.max() + 1)[label]

    def between_lumps(weights):
        return member.T @ (weights[:, None] * P) @ member / (member.T @ weights)[:, None]

    found = lumped(slow, indicators(slow.root, label))
    expected = between_lumps(law)
    assert_close(found.matrix.toarray(), np.sqrt(expected * expected.T), "solve", n=10, scale=1.0)
    assert_close(found.exits, 1 - np.diag(expected), "solve", n=10, scale=1.0)
    assert_close(found.root, np.sqrt(member.T @ law), "solve", n=10)
    alike = between_lumps(np.ones_like(law))
    uniform = np.ptp(law) <= tolerance("solve", n=10)
    assert uniform or np.max(np.abs(1 - np.diag(alike) - found.exits)) > 1e-6  # control: every state weighs the same


def test_the_rate_of_a_mode_does_not_cancel():
    M = 20_000
    P, k = lazy_cycle(M), np.arange(M)
    mode, exact = np.cos(2 * np.pi * k / M), np.sin(np.pi / M) ** 2
    assert_close(np.array(decay_rate(P, mode)), np.array(exact), "solve", n=10)
    difference = 1 - mode @ (P @ mode) / (mode @ mode)
    assert abs(difference / exact - 1) > 1e-10  # control


def test_a_law_below_the_smallest_float_is_left_to_the_factorisation():
    ratio = np.exp(-4.0 * np.sign(np.arange(799) - 399) * (np.abs(np.arange(799) - 399) > 40))  # a box between walls
    up, down = ratio / (1 + ratio) / 2, 1 / (1 + ratio) / 2
    P = diags_array([down, 1 - np.append(up, 0) - np.append(0, down), up], offsets=[-1, 0, 1])
    P = mk.check_transition_matrix(csr_array(P))
    form = symmetric_form(P)
    assert np.min(form.root) ** 2 == 0
    exact = np.linalg.eigvalsh(laplacian(form).toarray())[1]
    assert abs(slowest_rate(P, form) - exact) <= tolerance("solve", n=10)


def test_what_does_not_converge_is_left_to_the_factorisation(monkeypatch):
    P = CHAINS["grid"]
    form = symmetric_form(P)
    expected = decay_rate(P, slowest_mode(form, pseudo_inverse(form)))
    monkeypatch.setattr("nlmodel.markov.slowest.two_level_inverse", lambda form: lambda x: x)
    monkeypatch.setattr("nlmodel.markov.slowest.STEPS", 30)
    assert slowest_mode(form, lambda x: x) is None
    assert slowest_rate(P, form) == expected
    monkeypatch.setattr("nlmodel.markov.slowest.pseudo_inverse", lambda form: lambda x: x)
    with pytest.raises(ConvergenceError, match="toarray"):  # control
        slowest_rate(P, form)


@pytest.mark.parametrize("apart", [1e-4, 2e-8, 1e-9])
def test_of_two_close_modes_it_is_the_slower_one(apart):
    P = mk.check_transition_matrix(grid(26, 1 + apart))
    form = symmetric_form(P)
    distances = np.linalg.eigvalsh(laplacian(form).toarray())
    assert abs(slowest_rate(P, form) - distances[1]) <= tolerance("solve", n=10)
    assert distances[2] - distances[1] > tolerance("solve", n=10)  # control: between them it would be seen


@pytest.mark.parametrize("across", [1e-8, 1e-13, 1e-16, 1e-20])
def test_two_cliques_that_are_nearly_apart(across):
    W = np.kron(np.eye(2), np.ones((300, 300)))
    W[299, 300] = W[300, 299] = across
    P = mk.check_transition_matrix(row_normalized(csr_array(W)))
    form = symmetric_form(P)
    expected = decay_rate(P, np.repeat([1.0, -1.0], 300))
    assert abs(slowest_rate(P, form) / expected - 1) < 1e-4
    assert abs(slowest_rate(CHAINS["complete"], symmetric_form(CHAINS["complete"])) / expected - 1) > 1  # control


@pytest.mark.parametrize("rate", [1e-100, 1e-200, 1e-300])
def test_a_state_that_is_hardly_left(rate):
    P = row_normalized(line(600)).tolil()
    P[0, 0], P[0, 1], P[1, 0] = 1.0, rate, rate
    P[1, 1] += 1 - P[[1], :].sum()
    P = mk.check_transition_matrix(csr_array(P))
    assert 0 <= slowest_rate(P, symmetric_form(P)) <= tolerance("elementwise")
    assert mk.spectral_gap(row_normalized(line(600)), absolute=False).gap > tolerance("solve")  # control


def test_lumps_of_the_smallest_numbers():
    assert np.array_equal(lumps(csr_array(np.array([[1.0, 5e-324], [5e-324, 1.0]]))), [0, 0])


def test_a_chain_in_float32_is_reversible_to_its_rounding_and_left_to_no_factorisation(monkeypatch):
    P = mk.check_transition_matrix(csr_array(two_wells(26, 0.1).astype(np.float32)))
    form = symmetric_form(P)
    monkeypatch.setattr("nlmodel.markov.slowest.pseudo_inverse", None)
    exact = np.linalg.eigvalsh(laplacian(form).toarray())[1]
    assert abs(slowest_rate(P, form) - exact) <= tolerance("solve", np.float32)
