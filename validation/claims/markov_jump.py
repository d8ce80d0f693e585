"""Section 4.3: the nonlocal equation as the master equation of a Markov jump process."""

from __future__ import annotations

import numpy as np
from scipy.linalg import expm

from nlmodel import markov, plot
from nlmodel.testing import observed_order, tolerance
from validation import Ledger, Section, at_most, claim


SECTION = Section(
    "4.3",
    "Markov jump processes",
    r"The nonlocal equation is read as the master equation (20) of a jump process with rates $\gamma$; over a short time it "
    r"becomes (21) with $p = (t - t')\gamma$, then (22) with $\int p = 1$, and, averaged over the cells of a mesh, the "
    r"discrete forms (23) and (24).",
)
RATES = np.array([[0.0, 0.7, 0.3], [0.2, 0.0, 0.9], [1.1, 0.4, 0.0]])  # gamma(x, x'), jumps a unit of time
Q_BY_HAND = np.array([[-1.0, 0.7, 0.3], [0.2, -1.1, 0.9], [1.1, 0.4, -1.5]])
START = np.array([0.6, 0.3, 0.1])
TIME = 1.3


def euler(Q: np.ndarray, steps: int) -> np.ndarray:
    z = START
    for _ in range(steps):
        z = markov.euler_step(Q, z, TIME / steps)
    return z


@claim(
    "C12",
    section=SECTION,
    paper="Tao et al. 2018, Sec. 4.3, eqs (20)-(21)",
    title="The short-time form tends to the master equation",
    statement=r"""
        The forward difference (21) with the transition probability $p = (t - t')\gamma$ becomes the master equation (20) of
        the jump process as $t' \to t$.
    """,
    formula=r"z_t(x, t) = \int \bigl[ \gamma(x', x)\, z(x', t) - \gamma(x, x')\, z(x, t) \bigr] dx'",
    proof=r"""
        With $Q_{ij} = \gamma_{ij}$, $Q_{ii} = -\sum_{j \ne i} \gamma_{ij}$ densities obey $z' = Q^{\mathsf T} z$, and (21) is
        $z(t) = (I + \tau Q)^{\mathsf T} z(t')$ with $\tau = t - t'$: forward Euler. $e^{\tau Q} - (I + \tau Q) = O(\tau^2)$ and
        $\lVert e^{\tau Q} \rVert_\infty = 1$, so the error at a fixed time is $O(\tau)$ once $I + \tau Q$ is stochastic, that is
        if and only if $\tau \max_i |Q_{ii}| \le 1$.
    """,
)
def c12(ledger: Ledger) -> None:
    Q = markov.generator(RATES)
    exact = expm(Q_BY_HAND.T * TIME) @ START
    counts = np.array([20, 40, 80, 160, 320])

    def errors(Q: np.ndarray) -> list[float]:
        return [float(np.max(np.abs(euler(Q, n) - exact))) for n in counts]

    against = markov.generator(np.ascontiguousarray(RATES.T))
    ledger.order(
        "error of (21) at $t = 1.3$ against the matrix exponential, by step",
        TIME / counts,
        errors(Q),
        1.0,
        controls={r"rates from $x'$ to $x$ taken as rates from $x$ to $x'$": errors(against)},
    )
    ledger.headline("observed order of (21)", observed_order(TIME / counts, errors(Q)).order, rel=1e-4)
    limit = markov.euler_limit(Q)
    ledger.equals(
        "largest step that keeps (21) a probability", np.float64(limit), np.float64(1 / 1.5), tolerance("elementwise")
    )

    def smallest_entry(dt: float) -> float:
        return float(np.min(np.eye(3) + dt * Q))

    ledger.evidence(
        r"smallest entry of $I + \tau Q$ at 0.999 of that step",
        smallest_entry,
        of=0.999 * limit,
        at_least=0.0,
        controls={"at 1.01 of it": 1.01 * limit},
    )
    _sampled(ledger, exact)


def _sampled(ledger: Ledger, exact: np.ndarray) -> None:
    paths = ledger.size(40_000, 8_000)

    def ends(rates: np.ndarray) -> np.ndarray:
        return markov.JumpProcess(markov.generator(rates)).sample(START, TIME, paths, rng=ledger.rng)

    def visits(rates: np.ndarray) -> np.ndarray:
        return (ends(rates)[:, None] == np.arange(3)).astype(float)

    first, second = ends(RATES), ends(RATES)
    mostly_first = np.where(np.arange(paths) % 10 == 0, second, first)
    ledger.statistic(
        "two draws in a row from one generator: how often they agree, path by path",
        (first == second).astype(float)[:, None],
        np.array([np.sum(exact**2)]),
        controls={"nine paths in ten drawn twice": (first == mostly_first).astype(float)[:, None]},
    )
    sample = visits(RATES)
    ledger.statistic(
        f"{paths} sample paths of the jump process: share in each state",
        sample,
        exact,
        controls={"paths of the process with transposed rates": visits(np.ascontiguousarray(RATES.T))},
    )
    share = sample.mean(axis=0)
    half_width = 3.3 * np.sqrt(share * (1 - share) / paths)
    ledger.figure(
        "gillespie",
        lambda: plot.gillespie_vs_expm(("1", "2", "3"), share, exact, half_width),
        f"Sample paths drawn by Gillespie's algorithm ({paths} of them) against the solution of the master equation at "
        r"$t = 1.3$; bars are 99.9 % intervals.",
    )


ONE_HOLDING_TIME = r"the exit rate $\sigma$ is constant and $t - t' = 1/\sigma$, one mean holding time"
SHORT_TIME, UNIT_MASS = r"$p(x, x') = (t - t')\,\gamma(x, x')$ (21)", r"$t' \to t$"


@claim(
    "C13",
    section=SECTION,
    paper="Tao et al. 2018, Sec. 4.3, eqs (21)-(22)",
    title="Letting t' tend to t with total probability one",
    statement=r"""
        As $t' \to t$, and since $\int p(x, x')\, dx' = 1$, (21) becomes $z(x, t) = \int p(x', x)\, z(x', t')\, dx'$.
    """,
    formula=r"\int p(x, x')\, dx' = 1, \qquad z(x, t) = \int p(x', x)\, z(x', t')\, dx'",
    assumptions=(SHORT_TIME, UNIT_MASS),
    proof=r"""
        $\int p(x, x')\, dx' = (t - t') \int \gamma(x, x')\, dx' = (t - t')\,\sigma(x) \to 0$: the two conditions exclude each
        other. What (21) says for every $t'$ is
        $$z(x, t) = \int p(x', x)\, z(x', t')\, dx' + \Bigl( 1 - \int p(x, x')\, dx' \Bigr)\, z(x, t'),$$
        the chain that stays where it is with the probability that is left over. It reduces to (22) exactly when
        $(t - t')\,\sigma(x) = 1$ for every $x$: the time step is the mean holding time, the same everywhere. That is the
        embedded chain of a process with constant exit rate, a fixed and not a vanishing time step.
    """,
)
def c13(ledger: Ledger) -> None:
    Q = markov.generator(RATES)
    shrinking = 0.1 * 0.5 ** np.arange(5)
    mass = np.array([(tau * RATES).sum(axis=1).max() for tau in shrinking])
    ledger.witness(
        r"three states, $t - t' = 0.1, 0.05, \ldots$: distance of the last total probability from one",
        satisfies={
            SHORT_TIME: at_most(
                np.abs(shrinking[-1] * Q - markov.generator(shrinking[-1] * RATES)).max(), tolerance("elementwise")
            ),
            UNIT_MASS: at_most(shrinking[-1], 0.01),
        },
        violates=at_most(abs(1 - mass[-1]), tolerance("reduction", n=3)),
        data={"t - t'": shrinking, "largest total probability": mass},
        controls={
            "the same rates over one holding time of the last state": at_most(
                abs(1 - (RATES / 1.5).sum(axis=1).max()), tolerance("reduction", n=3)
            )
        },
    )
    constant = RATES / RATES.sum(axis=1, keepdims=True) * 1.25  # exit rate 5/4 everywhere
    ledger.under(ONE_HOLDING_TIME).evidence(
        "(22) against (21), largest difference",
        lambda rates: _difference(rates, 0.8),
        of=constant,
        at_most=tolerance("reduction", n=6),
        controls={"exit rates that differ from state to state, mean 5/4": RATES},
    )
    lazy = ledger.instead(r"(21) is the lazy chain: move with $p$, stay with $1 - \int p$")
    tau = 0.4
    lazy.equals(
        "lazy chain against $(I + (t - t')Q)^{\\mathsf T} z$",
        markov.evolve_density(markov.lazy_completion(tau * RATES), START),
        START + tau * Q_BY_HAND.T @ START,
        tolerance("reduction", n=6),
        controls={"without the part that stays": (tau * RATES).T @ START},
    )


def _difference(rates: np.ndarray, tau: float) -> float:
    """Between z(t) = p^T z(t') and (I + tau Q)^T z(t') with p = tau * rates."""
    Q = markov.generator(rates)
    return float(np.max(np.abs((tau * rates).T @ START - (START + tau * Q.T @ START))))
