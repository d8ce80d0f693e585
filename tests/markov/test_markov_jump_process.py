"""Gillespie's algorithm against the exponential of the generator."""

import numpy as np
import pytest
from scipy.sparse import csr_array

import nlmodel.markov as mk
from tests.markov.chains import lazy_cycle


RATES = np.array([[-2.0, 1.5, 0.5], [1.0, -1.2, 0.2], [0.3, 2.2, -2.5]])
PATHS = 20_000


def check_frequencies(states, law, z=4.0):
    """Every share within z standard deviations of its probability."""
    share = np.bincount(states, minlength=len(law)) / len(states)
    assert np.all(np.abs(share - law) <= z * np.sqrt(law * (1 - law) / len(states)) + 1 / len(states))


@pytest.mark.parametrize("form", [np.asarray, csr_array])
def test_states_follow_the_exponential(form, rng):
    times = [0.0, 0.2, 1.3, 1.3, 6.0]
    seen = mk.JumpProcess(form(RATES)).sample(0, times, PATHS, rng=rng)
    assert seen.shape == (PATHS, 5) and seen.dtype == np.int64
    assert np.all(seen[:, 0] == 0) and np.array_equal(seen[:, 2], seen[:, 3])
    for k, t in enumerate(times):
        check_frequencies(seen[:, k], mk.transition_matrix(RATES, t)[0])
    moved = seen[seen[:, 1] == 1, 2]  # the process forgets how it came to state 1
    check_frequencies(moved, mk.transition_matrix(RATES, 1.1)[1])
    with pytest.raises(AssertionError):  # control: columns for rows
        check_frequencies(
            seen[:, 2], mk.transition_matrix(RATES, 1.3)[:, 0] / mk.transition_matrix(RATES, 1.3)[:, 0].sum()
        )
    with pytest.raises(AssertionError):  # control: the Euler chain with a large step
        check_frequencies(
            seen[:, 2], (np.eye(3) + 0.325 * RATES)[0] @ np.linalg.matrix_power(np.eye(3) + 0.325 * RATES, 3)
        )


def test_initial_laws_and_states(rng):
    process, law = mk.JumpProcess(RATES), np.array([0.2, 0.0, 0.8])
    first = process.sample(law, 0.0, PATHS, rng=rng)
    assert first.shape == (PATHS,) and not np.any(first == 1)
    check_frequencies(first, law)
    check_frequencies(process.sample(law, 0.7, PATHS, rng=rng), law @ mk.transition_matrix(RATES, 0.7))
    starts = np.arange(6) % 3
    assert np.array_equal(process.sample(starts, 0.0, 6, rng=rng), starts)


def test_holding_times_and_jumps(rng):
    events = mk.JumpProcess(RATES).events(0, 4.0, 4000, rng=rng)
    new = np.append(True, np.diff(events.path) > 0)
    assert np.all(events.time[new] == 0) and np.all(events.state[new] == 0) and events.time.max() <= 4.0
    same = np.diff(events.path) == 0
    waits, before, after = np.diff(events.time)[same], events.state[:-1][same], events.state[1:][same]
    assert np.all(waits > 0) and np.all(before != after)
    for i in range(3):
        check_frequencies(after[before == i], np.where(np.arange(3) == i, 0, RATES[i]) / -RATES[i, i])
    first = np.concatenate([[4.0] * 0, events.time[1:][same & (events.time[:-1] == 0)]])
    # an exponential time, given that it ends before 4: mean 1/2 - 4 exp(-8) / (1 - exp(-8))
    mean, n = 0.5 - 4 * np.exp(-8) / (1 - np.exp(-8)), len(first)
    assert abs(first.mean() - mean) <= 4 * first.std() / np.sqrt(n)
    assert abs(first.mean() - 2 * mean) > 4 * first.std() / np.sqrt(n)  # control


def test_events_and_samples_are_the_same_paths():
    process = mk.JumpProcess(RATES)
    times = np.linspace(0, 3, 31)
    seen = process.sample(1, times, 50, rng=np.random.default_rng(4))
    events = process.events(1, 3.0, 50, rng=np.random.default_rng(4))
    for path in range(50):
        mine = events.path == path
        at = np.searchsorted(events.time[mine], times, side="right") - 1
        assert np.array_equal(seen[path], events.state[mine][at])
    assert repr(events) == f"JumpEvents(paths=50, events={len(events.path)})"


def test_absorbing_states_are_never_left(rng):
    Q = np.array([[-1.0, 0.5, 0.5], [0, 0, 0], [0, 2.0, -2.0]])
    seen = mk.JumpProcess(Q).sample(0, [1.0, 50.0], 2000, rng=rng)
    assert np.all(seen[:, 1] == 1)
    check_frequencies(seen[:, 0], mk.transition_matrix(Q, 1.0)[0])
    still = mk.JumpProcess(np.zeros((2, 2)))
    assert np.array_equal(still.sample(1, [0.0, 1e9], 3, rng=rng), np.ones((3, 2)))
    assert len(still.events(0, 5.0, 3, rng=rng).path) == 3


def test_rates_of_very_different_size(rng):
    """A row sum that is small next to the others keeps its own choice of targets."""
    Q = mk.generator(np.array([[0, 1e12, 0, 0], [1e12, 0, 0, 0], [1e-9, 3e-9, 0, 0], [0, 0, 0, 0]]))
    process = mk.JumpProcess(csr_array(Q))
    after = process._jump(np.full(PATHS, 2), rng)
    check_frequencies(after, np.array([0.25, 0.75, 0, 0]))


def test_seeds_decide_everything():
    process = mk.JumpProcess(RATES)
    draws = [process.sample(0, 2.0, 100, rng=np.random.default_rng(seed)) for seed in (7, 7, 8)]
    assert np.array_equal(draws[0], draws[1]) and not np.array_equal(draws[0], draws[2])


def test_the_error_falls_with_the_square_root_of_the_paths(rng):
    law = mk.transition_matrix(RATES, 1.0)[0]
    process, errors = mk.JumpProcess(RATES), []
    for n in (100, 6400):
        trials = [np.bincount(process.sample(0, 1.0, n, rng=rng), minlength=3) / n - law for _ in range(40)]
        errors.append(np.sqrt(np.mean(np.square(trials))))
    # 120 squared errors each: their ratio is 64 to about 1 in 5
    assert 5.5 < errors[0] / errors[1] < 11


def test_a_large_sparse_process(rng):
    Q = mk.generator_from_transition(lazy_cycle(20_000))
    process = mk.JumpProcess(Q)
    seen = process.sample(0, 10.0, 4000, rng=rng)
    displacement = np.where(seen > 10_000, seen - 20_000, seen)
    assert abs(displacement.mean()) <= 4 * np.sqrt(5.0 / 4000)  # rate 1/2 of steps +-1: variance t / 2
    assert abs(displacement.var() / 5.0 - 1) <= 4 * np.sqrt(2.4 / 4000)
    assert repr(process) == "JumpProcess(states=20000, largest_rate=0.5)"
    assert process.size == 20_000
