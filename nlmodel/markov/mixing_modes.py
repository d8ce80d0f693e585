"""The worst-case mixing time of a large sparse reversible chain: its slowest modes, and a bound for the rest."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nlmodel.errors import ConvergenceError, DomainError, NotReversibleError
from nlmodel.markov.matrix import Matrix
from nlmodel.markov.smallest import smallest_eigenvalue
from nlmodel.markov.symmetric import slowest_modes, symmetric_form


FEWEST_MODES, MOST_MODES = 8, 128
CHEAP_PRODUCTS = 1e10  # multiplications
RAREST = 1e-280
BLOCK_NUMBERS = 4_000_000  # 32 MiB of float64 at a time


def mixing_time_by_modes(A: Matrix, eps: float) -> tuple[int, bool]:
    """min { t : max_i TV(P^t(i, .), pi) <= eps } of a checked aperiodic chain.

    With the eigenfunctions phi_k of P, orthonormal in pi,

        P^t(i, j) / pi_j - 1 = sum_k lambda_k^t phi_k(i) phi_k(j),     k >= 2

    The sum over the m slowest modes gives TV_i(t) up to (1/2) r_i(t), because the rest, e, has by
    Cauchy-Schwarz sum_j pi_j |e_j| <= r_i with

        r_i(t)^2 = sum_{k > m} lambda_k^{2t} phi_k(i)^2 <= beta^{2t} (1 / pi_i - 1 - sum_{k <= m} phi_k(i)^2)

    and beta = max(lambda_m, |lambda_min|).  Two bounds on d(t) = max_i TV_i(t) follow; m is doubled until
    they name one t, or until so few steps are possible that taking them from every state costs less.

    Returns  an upper bound of the mixing time, and whether it is the mixing time itself.
    """
    try:
        form = symmetric_form(A)
    except NotReversibleError as error:
        raise DomainError(
            "the exact mixing time of a large sparse chain needs reversibility",
            got=error.got,
            why="its modes are then orthogonal, and the rest of the sum has a bound",
            fix="pass starts= for the distance from those states, or P.toarray()",
        ) from error
    if np.min(form.root) < RAREST**0.5:
        raise DomainError(
            f"stationary probabilities must be at least {RAREST:g} to find the mixing time by modes",
            got=f"about {float(np.min(form.root)) ** 2:.1g}",
            why="the modes are divided by their square roots",
            fix="pass starts= for the distance from some states, or look at mixing_time_bounds(P)",
        )
    lowest = abs(smallest_eigenvalue(form.matrix))
    count, largest = FEWEST_MODES, min(MOST_MODES, len(form.root) // 4)
    while True:
        distances, vectors = slowest_modes(form, count)
        modes = _Modes.build(form.root, distances, vectors, lowest)
        upper = modes.first_time(eps)
        if upper == 0 or modes.start_farther_than(eps, upper - 1, certain=True) is not None:
            return upper, True
        if upper * A.nnz * A.shape[0] <= CHEAP_PRODUCTS:
            return upper, False
        if count >= largest:
            raise ConvergenceError(
                "the slowest modes leave several mixing times possible",
                got=f"at most {upper} steps with {count} modes",
                why="many modes decay about as fast as the slowest one, or lambda_min is close to -1",
                fix="use lazy(P, 1/2) when lambda_min is close to -1, or pass starts= for some states",
            )
        count = min(2 * count, largest)


@dataclass(frozen=True, eq=False)
class _Modes:
    """The slowest modes, log_lambda (m,) and phi (M, m), the law, and per state the weight of the others."""

    log_lambda: np.ndarray
    phi: np.ndarray
    law: np.ndarray
    rest: np.ndarray
    log_beta: float

    @classmethod
    def build(cls, root: np.ndarray, distances: np.ndarray, vectors: np.ndarray, lowest: float) -> _Modes:
        inside = distances < 1
        distances, phi = distances[inside], vectors[:, inside] / root[:, None]
        rest = np.maximum(1 / root**2 - 1 - np.sum(phi**2, axis=1), 0.0)
        slower = max(1 - float(distances[-1]), lowest) if len(distances) else max(lowest, 0.0)
        return cls(np.log1p(-distances), phi, root**2, rest, math.log(slower) if slower > 0 else -math.inf)

    def bounds(self, starts: np.ndarray, t: int) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bounds of TV_i(t) for these starts."""
        modal = 0.5 * np.abs((self.phi[starts] * np.exp(self.log_lambda * t)) @ self.phi.T) @ self.law
        error = 0.5 * self._beta_power(t) * np.sqrt(self.rest[starts])
        return modal - error, np.minimum(modal + error, self.square_bound(t)[starts])

    def square_bound(self, t: int) -> np.ndarray:
        """By Jensen, TV_i(t) <= (1/2) (sum_k lambda_k^{2t} phi_k(i)^2)^{1/2}, for every state."""
        return 0.5 * np.sqrt(self.phi**2 @ np.exp(2 * self.log_lambda * t) + self._beta_power(2 * t) * self.rest)

    def _beta_power(self, t: int) -> float:
        return math.exp(self.log_beta * t) if t else 1.0

    def start_farther_than(self, eps: float, t: int, *, certain: bool) -> int | None:
        """A state whose distance at t exceeds eps for certain, or possibly; None when there is none.

        Only states whose `square_bound` exceeds eps are looked at, the largest first.
        """
        bound = self.square_bound(t)
        order = np.argsort(-bound)[: int(np.count_nonzero(bound > eps))]
        height = max(1, BLOCK_NUMBERS // len(self.law))
        for first in range(0, len(order), height):
            starts = order[first : first + height]
            lower, upper = self.bounds(starts, t)
            found = lower if certain else upper
            if np.max(found) > eps:
                return int(starts[np.argmax(found)])
        return None

    def first_time(self, eps: float) -> int:
        """The first t at which every state is within eps for certain.

        The time of one slow state is found by bisection, then all states are tried at that time, and a state
        that is still too far takes over.
        """
        t, start = 0, self.start_farther_than(eps, 0, certain=False)
        while start is not None:
            t = self._first_time_from(start, eps, t)
            start = self.start_farther_than(eps, t, certain=False)
        return t

    def _first_time_from(self, start: int, eps: float, t: int) -> int:
        """The first time after t at which `start` is within eps for certain."""
        one = np.array([start])
        low, high = t, max(1, 2 * t)
        while self.bounds(one, high)[1][0] > eps:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.bounds(one, middle)[1][0] > eps else (low, middle)
        return high
