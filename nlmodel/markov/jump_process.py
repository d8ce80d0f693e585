"""Sample paths of the jump process by Gillespie's algorithm, all paths advanced together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from nlmodel._arrays import check_array, check_count, check_number, check_rng
from nlmodel.errors import DomainError, DtypeError, ShapeError
from nlmodel.markov.checks import check_generator, check_law
from nlmodel.markov.matrix import Sparse, as_csr, off_diagonal, row_sums


@dataclass(frozen=True, eq=False)
class JumpEvents:
    """All events of several paths, sorted by path and then time; each path begins with an event at time 0.

    Attributes
    ----------
    path : (N,) number of the path.
    time : (N,) when its new state begins.
    state : (N,) that state.
    """

    path: np.ndarray
    time: np.ndarray
    state: np.ndarray

    def __repr__(self) -> str:
        return f"JumpEvents(paths={self.path[-1] + 1}, events={len(self.path)})"


class JumpProcess:
    """The continuous-time Markov chain with generator Q, as something to draw paths from.

    From state i wait an exponential time of rate -Q_ii, then jump to j with probability Q_ij / (-Q_ii); a state with
    Q_ii = 0 is never left.  The law of the states obeys the master equation, Tao et al. 2018, eq. (20).

    Parameters
    ----------
    Q : (M, M) generator, dense or sparse, Q_ij = rate of i -> j; an operator stands for L = K - diag(exit rate).

    Raises   DomainError: Q not a generator.
    Cost     O(nnz) to build; a jump of n paths costs O(n log(longest row)).
    """

    def __init__(self, Q: Any):
        moves = off_diagonal(as_csr(check_generator(Q)))
        self._rates = row_sums(moves)
        self._starts, self._targets = moves.indptr.astype(np.int64), moves.indices.astype(np.int64)
        self._cumulative = _cumulative_rows(moves)

    def __repr__(self) -> str:
        return f"JumpProcess(states={self.size}, largest_rate={float(np.max(self._rates)):.6g})"

    @property
    def size(self) -> int:
        """Number of states."""
        return len(self._rates)

    def sample(self, start: Any, t: Any, paths: int, *, rng: np.random.Generator) -> np.ndarray:
        """The states of independent paths at the given times.

        Parameters
        ----------
        start : a state, an integer array of `paths` states, or an (M,) floating array, the law of the first state.
        t : a time >= 0, or a nondecreasing sequence of T times.
        paths : number of paths >= 1.
        rng : numpy.random.Generator.

        Returns  int64 array of shape (paths,) for one time, (paths, T) for several.
        Accuracy exact in law; the share of paths in a state of probability p has error sqrt(p (1 - p) / paths).
        """
        single = np.ndim(t) == 0
        times = np.array([check_number(t, "t", at_least=0)]) if single else _check_times(t)
        state = self._first_states(start, check_count(paths, "paths", at_least=1), check_rng(rng))
        seen = np.empty((len(state), len(times)), dtype=np.int64)
        for path, at, begin, end in self._holds(state, float(times[-1]), rng):
            first, last = np.searchsorted(times, begin), np.searchsorted(times, end)
            count = last - first
            column = np.arange(np.sum(count)) - np.repeat(np.cumsum(count) - count - first, count)
            seen[np.repeat(path, count), column] = np.repeat(at, count)
        return seen[:, 0] if single else seen

    def events(self, start: Any, t: float, paths: int, *, rng: np.random.Generator) -> JumpEvents:
        """Every jump of independent paths up to time t.

        Parameters as in `sample`, with one time t >= 0.

        Returns  `JumpEvents`.
        """
        horizon = check_number(t, "t", at_least=0)
        state = self._first_states(start, check_count(paths, "paths", at_least=1), check_rng(rng))
        path, at, begin, _ = (np.concatenate(part) for part in zip(*self._holds(state, horizon, rng), strict=True))
        order = np.lexsort((begin, path))
        return JumpEvents(path[order], begin[order], at[order])

    def _holds(self, state: np.ndarray, horizon: float, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, ...]]:
        """Rounds of (path, state, begin, end): each path keeps its state from begin to end."""
        path, clock = np.arange(len(state)), np.zeros(len(state))
        while len(path):
            wait = np.full(len(path), np.inf)
            np.divide(
                rng.standard_exponential(len(path)),
                self._rates[state],
                out=wait,
                where=self._rates[state] > 0,
            )
            end = clock + wait
            yield path, state, clock, end
            alive = end <= horizon
            path, clock, state = path[alive], end[alive], self._jump(state[alive], rng)

    def _jump(self, state: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The next state of each path, by bisection in the cumulative rates of its row."""
        low, high = self._starts[state], self._starts[state + 1] - 1
        level = rng.random(len(state)) * self._cumulative[high]
        while np.any(low < high):
            middle = (low + high) // 2
            right = self._cumulative[middle] <= level
            low, high = np.where(right, np.minimum(middle + 1, high), low), np.where(right, high, middle)
        return self._targets[low]

    def _first_states(self, start: Any, paths: int, rng: np.random.Generator) -> np.ndarray:
        if np.ndim(start) == 0:
            state = check_count(start, "start")
            found = np.full(paths, state, dtype=np.int64)
        elif np.asarray(start).dtype.kind in "iu":
            found = np.asarray(start).astype(np.int64)
            if found.shape != (paths,):
                raise ShapeError("start must have one state a path", got=f"shape {found.shape} for {paths} paths")
        else:
            total = np.cumsum(check_law(start, "start", self.size), dtype=np.float64)
            found = np.searchsorted(total, rng.random(paths) * total[-1], side="right").astype(np.int64)
        if np.min(found) < 0 or np.max(found) >= self.size:
            raise DomainError(f"start must be states 0 to {self.size - 1}", got=f"{np.min(found)} to {np.max(found)}")
        return found


def _cumulative_rows(moves: Sparse) -> np.ndarray:
    """Running sums of the rates, each row summed by itself so that slow rows keep their digits."""
    sums, lengths = moves.data.copy(), np.diff(moves.indptr)
    for k in range(1, int(np.max(lengths))):
        at = moves.indptr[:-1][lengths > k] + k
        sums[at] += sums[at - 1]
    return sums


def _check_times(t: Any) -> np.ndarray:
    times = np.asarray(t)
    if times.dtype.kind not in "fiu":
        raise DtypeError("t must be a time or an array of times", got=f"dtype {times.dtype}")
    times = check_array(times.astype(np.float64), "t", ndim=1)
    if times[0] < 0 or np.any(np.diff(times) < 0):
        raise DomainError("times must be >= 0 and must not decrease", got=str(times))
    return times
