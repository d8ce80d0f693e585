"""Section 4.4: the step limit of von Neumann, a disc for the eigenvalues of the weight."""

from __future__ import annotations

import numpy as np
import scipy.linalg
import sympy
from hypothesis import strategies as st

from nlmodel import plot
from nlmodel.kernels import Gaussian
from nlmodel.network import stage
from nlmodel.stability import cfl_limit, worst_case_limit
from nlmodel.testing import tolerance
from validation import Ledger, Section, claim
from validation.claims.full_matrix import FLIP, affinities, largest_s, radius, row, update
from validation.claims.shared import hollow, matrices
from validation.photograph import patches


SECTION = Section(
    "4.4",
    "Stability of the discrete stage",
    r"One sub-block (8) is $Z \mapsto Z - (I - K) Z W^{\mathsf T}$. For each eigenvalue $s$ of $I - K$ it multiplies "
    r"the features of that mode by $I - sW$. The paper asks for weights small enough for a CFL condition; here is which "
    r"condition, in which sense, and when small weights meet it.",
)
JORDAN = np.array([[1.0, 1.0], [0.0, 1.0]])


def rates(omega: np.ndarray, W: np.ndarray | complex) -> np.ndarray:
    """The eigenvalues mu s of (I - K) (x) W that are not zero, from the full matrix."""
    q = np.asarray(scipy.linalg.eigvals(update(omega, W, -1.0))) - 1
    return q[np.abs(q) > 1e-9 * np.max(np.abs(q))]


def weights(rng: np.random.Generator) -> dict[str, np.ndarray | complex]:
    """A real and a complex number, a real and a complex matrix; most have Re mu > 0."""
    A, B = rng.standard_normal((2, 3, 3)) / 2
    return {
        "real number": rng.random() + 0.2,
        "complex number": complex(1.0 + 0.3 * rng.standard_normal(), rng.standard_normal()),
        "real matrix": np.eye(3) + A,
        "complex matrix": np.eye(3) + A + 1j * B,
    }


@claim(
    "S-1",
    section=SECTION,
    paper="Tao et al. 2018, Sec. 4.4 (the CFL condition, made sharp)",
    title="The CFL condition is a disc",
    statement=r"""
        With $\mu$ an eigenvalue of $W$ and $s$ one of $I - K$, a sub-block has the eigenvalues $1 - \mu s$. When the $s$ are real, none
        exceeds one in modulus if and only if every $\mu$ lies in the closed disc of centre and radius $1/s_{\max}$. A real
        $\mu \in [0, 1]$ serves every $K \ge 0$ with row sums one, $\mu \le 2$ every non-negative positive semidefinite affinity, and
        $\mu = 2/(1 - \lambda_{\min})$ is the exact limit.
    """,
    formula=r"|1 - \mu s| \le 1 \ \ \forall s \in [0, s_{\max}] \quad\Longleftrightarrow\quad |\mu|^2 s_{\max} \le 2 \operatorname{Re} \mu, \qquad s_{\max} = 1 - \lambda_{\min}",
    proof=r"""
        $\operatorname{vec} Z \mapsto (I - (I - K) \otimes W) \operatorname{vec} Z$ has the eigenvalues $1 - \mu s$, and
        $$|1 - \mu s|^2 - 1 = s \,(|\mu|^2 s - 2 \operatorname{Re} \mu),$$
        which is hardest at $s_{\max}$. For complex $s$ the same computation asks for $|\mu s|^2 \le 2 \operatorname{Re}(\mu s)$ at
        every pair. For real $\mu \in [0, 1]$, $(1 - \mu) + \mu K$ is an average and needs nothing else; the flip of two points has
        $\lambda = -1$ and attains the limit one. A positive semidefinite $\omega$ with positive row sums has $\lambda \ge 0$, and
        $\lambda \le 1$ when $\omega \ge 0$; without $\omega \ge 0$ an eigenvalue $\lambda > 1$ may occur, and no $\mu > 0$ is stable.
        Gershgorin's discs give $\lambda_{\min} \ge 2 \min_i K_{ii} - 1$.

        *What the disc does not say.* Eigenvalues of modulus at most one bound the powers only if those of modulus one are
        semisimple. On the circle itself a defective $\mu$ makes the powers grow like $n$; and so does a Jordan block
        of $W$ at $\mu = 0$, which lies on the circle for *every* step.
    """,
)
def s_1(ledger: Ledger) -> None:
    a, b, s = sympy.symbols("a b s", real=True)
    ledger.identity(
        r"$|1 - \mu s|^2 - 1$ with $\mu = a + ib$",
        (1 - a * s) ** 2 + (b * s) ** 2 - 1,
        s * ((a**2 + b**2) * s - 2 * a),
        controls={r"with $|\mu|$ for $|\mu|^2$": s * (sympy.sqrt(a**2 + b**2) * s - 2 * a)},
    )
    Z, W = ledger.rng.standard_normal((5, 3)), ledger.rng.standard_normal((3, 3))
    omega = ledger.rng.random((5, 5))
    ledger.equals(
        r"the library's sub-block against $I - (I - K) \otimes W$, the full matrix",
        np.ravel(stage(Z, row(omega), [W])),
        update(omega, W, 1.0) @ Z.ravel(),
        tolerance("reduction", n=15, scale=4.0),
        controls={
            r"with $W^{\mathsf T}$": np.ravel(stage(Z, row(omega), [W.T])),
            r"with $K^{\mathsf T}$": np.ravel(stage(Z, row(omega.T.copy()), [W])),
        },
    )
    _hundred_kernels(ledger)
    _families(ledger)
    _defective(ledger)
    _photograph(ledger)


def _hundred_kernels(ledger: Ledger) -> None:
    kernels = affinities(ledger.rng, ledger.size(100, 20))
    cases = [(omega, W) for omega in kernels for W in weights(ledger.rng).values()]
    found = np.array([cfl_limit(row(omega), W).value for omega, W in cases])
    q = [rates(omega, W) for omega, W in cases]
    exact = np.array([max(0.0, np.min(2 * np.real(z) / np.abs(z) ** 2)) for z in q])
    ledger.evidence(
        f"{len(cases)} pairs of a random kernel and a real or complex weight: largest relative difference from the limit that the "
        "eigenvalues of the full matrix give",
        lambda limits: float(np.max(np.abs(limits - exact) / np.where(exact > 0, exact, 1.0))),
        of=found,
        at_most=1e-10,
        controls={r"$2 / \max |\mu s|$, without regard to the argument": np.array([2 / np.max(np.abs(z)) for z in q])},
        note=f"{len(kernels)} kernels, symmetric or not, with and without diagonal; {np.sum(exact == 0)} of the limits are zero.",
    )
    stable = [(*case, tau) for case, tau in zip(cases, found, strict=True) if tau > 0]
    below, above = (np.array([radius(omega, W, f * tau) - 1 for omega, W, tau in stable]) for f in (0.999, 1.01))
    rounding = tolerance("solve", n=27, cond=4.0)
    ledger.evidence(
        f"largest spectral radius of the full matrix, minus one, at 0.999 of the limit, the {len(stable)} pairs with a positive one",
        np.max,
        of=below,
        at_most=rounding,
        controls={"at 1.01 of the limit": above},
    )
    ledger.evidence(
        "smallest spectral radius, minus one, at 1.01 of the limit",
        np.min,
        of=above,
        at_least=rounding,
        controls={"at 0.999 of the limit": below},
    )
    reversible = [omega for omega in kernels if np.array_equal(omega, omega.T)]
    sharp = np.array([2 / np.max(np.abs(rates(omega, 1.0))) for omega in reversible])
    ledger.evidence(
        f"largest ratio of Gershgorin's limit to the exact one, the {len(reversible)} symmetric ones, $W = I$",
        lambda factor: max(
            factor * cfl_limit(row(omega), method="gershgorin").value / limit
            for omega, limit in zip(reversible, sharp, strict=True)
        ),
        of=1.0,
        at_most=1 + rounding,
        controls={"with discs of half the radius": 2.0},
    )


def _families(ledger: Ledger) -> None:
    tol = tolerance("solve", n=4, cond=8.0)
    chains = st.one_of(matrices(3, 3, 0, 9).map(lambda A: A + np.diag(np.all(A == 0, axis=1))), st.just(FLIP))

    def growth(mu: float):
        return lambda omega: radius(omega, 1.0, mu) - 1

    def family_limit(name: str) -> float:
        return worst_case_limit(1.0, name).value

    ledger.property(
        r"growth with $\mu$ at the limit for all Markov kernels, reversible or not",
        chains,
        growth(family_limit("markov")),
        at_most=tol,
        controls={r"$\mu = 1.01$": growth(1.01)},
    )
    ledger.property(
        r"growth with $\mu$ at the limit for all non-negative semidefinite affinities",
        matrices(3, 2).map(lambda X: Gaussian(0.3)(X) + np.outer(np.exp(X[:, 0]), np.exp(X[:, 0]))),
        growth(family_limit("psd")),
        at_most=tol,
        controls={
            "at 1.5 times it": growth(1.5 * family_limit("psd")),
            "without its diagonal": lambda A: growth(2.0)(hollow(A)),
        },
    )

    complete = [np.ones((m, m)) - np.eye(m) for m in range(2, 8)]
    ledger.equals(
        "complete graphs without self-affinity, 2 to 7 positions, against $2(M - 1)/M$",
        np.array([cfl_limit(row(omega)).value for omega in complete]),
        np.array([2 * (m - 1) / m for m in range(2, 8)]),
        tolerance("solve", n=7, scale=2.0),
        controls={
            "with self-affinity": np.array([cfl_limit(row(omega + np.eye(len(omega)))).value for omega in complete])
        },
    )


def _defective(ledger: Ledger) -> None:
    """Powers at eigenvalues of modulus one that are not semisimple."""
    blocks = np.array([16, 32, 64, 128, 256])
    Z = np.array([[1.0, 1.0], [-1.0, -1.0]])

    def sizes(W: np.ndarray) -> list[float]:
        every = stage(Z, row(FLIP), [W] * int(blocks[-1]), every=True)
        return [float(np.linalg.norm(every[n])) for n in blocks]

    for words, W, twin in (
        (r"a Jordan block at the limit itself, $|1 - \mu s| = 1$", JORDAN, np.eye(2)),
        (r"a Jordan block of $W$ at $\mu = 0$", JORDAN - np.eye(2), np.diag([0.0, 1.0])),
    ):
        ledger.order(
            f"size of the features after $n$ sub-blocks, by $n$: {words}",
            blocks,
            sizes(W),
            1.0,
            controls={"its semisimple twin": sizes(twin)},
        )


def _photograph(ledger: Ledger) -> None:
    X = patches(stride=80)
    omega = hollow(np.exp(-np.sum((X[:, None] - X[None]) ** 2, axis=-1) / (2 * 5.0**2)))
    op = row(omega)
    W = np.eye(24) + 0.9 * ledger.rng.standard_normal((24, 24)) / np.sqrt(24)
    limit = cfl_limit(op, W)
    s_max = largest_s(omega)
    mu = np.linalg.eigvals(W)
    exact = float(np.min(2 * np.real(mu) / np.abs(mu) ** 2)) / s_max
    ledger.evidence(
        f"{len(X)} patches of a photograph, affinity without diagonal, 24 channels: limit against the disc of radius $1/s_{{\\max}}$",
        lambda value: abs(value - exact) / exact,
        of=limit.value,
        at_most=1e-10,
        controls={r"$s_{\max} = 1$, as with a semidefinite affinity": s_max * exact},
        note=limit.reason,
    )
    ledger.headline("largest stable scaling of a random weight on the photograph", limit.value, rel=1e-8)
    ledger.figure(
        "disc",
        lambda: plot.cfl_disc(mu, {"photograph": s_max, "any Markov kernel": 2.0}),
        "Eigenvalues of a random weight in the disc that the affinity of the photograph's patches allows. Multiplied by "
        f"{limit.value:.3g}, all of them lie in it.",
    )
