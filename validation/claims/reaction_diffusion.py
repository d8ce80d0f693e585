"""Eqs (26)-(30): diffusion added to a reaction, and what a stage costs."""

from __future__ import annotations

from collections.abc import Callable
from unittest import mock

import numpy as np
import sympy as sp
from hypothesis import strategies as st

from nlmodel import NonlocalOperator, kernels, network
from nlmodel.kernels import Kernel
from nlmodel.operators import DenseAffinity
from nlmodel.testing import observed_order, tolerance
from validation import Ledger, Section, at_least, at_most, canvas, claim
from validation.claims.shared import matrices, midpoints


SECTION = Section(
    "4.6",
    "Reaction, diffusion, and the cost of a stage",
    "A residual network with nonlocal stages is read as a reaction-diffusion system (29)-(30): residual blocks react, the "
    "stage diffuses.",
)
J = np.array([[0.8, 1.0], [-1.8, -1.0]])  # Schnakenberg's reaction with a = 0.1, b = 0.9, at its steady state (1, 0.9)
W = np.diag([0.5, 20.0])
STABLE, POSITIVE = "the reaction alone is stable", "$W$ symmetric with positive eigenvalues"
EQUAL = r"equal diffusivities, $W = \mu I$"


def abscissa(A: np.ndarray) -> float:
    return float(np.max(np.linalg.eigvals(A).real))


def linear_growth(op: NonlocalOperator, reaction: np.ndarray, weight: np.ndarray | float) -> float:
    """The largest growth rate of Z' = L Z W^T + Z J^T, read off the system acting on all unit fields."""
    M, C = op.size, len(reaction)
    unit = np.eye(M * C).reshape(M * C, M, C)
    W = np.asarray(weight) * np.eye(C) if np.ndim(weight) == 0 else np.asarray(weight)
    rates = network.stage(unit, op, [W]) - unit + unit @ reaction.T
    return abscissa(rates.reshape(M * C, M * C).T)


@claim(
    "C19",
    section=SECTION,
    paper="Tao et al. 2018, eqs (29)-(30)",
    title="Diffusion stabilises the reaction",
    statement=r"""
        The diffusion terms that the nonlocal stage adds regularise the reaction system and make it more stable.
    """,
    formula=r"z_t = \mathcal{L} z\, W^{\mathsf T} + F(z, W(t)), \qquad F = W_2\, f(W_1 f(z))",
    assumptions=(STABLE, POSITIVE),
    proof=r"""
        Linearised at a steady state with Jacobian $J$, the mode of $K$ with eigenvalue $\lambda$ grows with the matrix $J - sW$,
        $s = 1 - \lambda$. *Equal diffusivities*, $W = \mu I$: its eigenvalues are those of $J$ shifted by $-\mu s$; no mode
        gets less stable, and the constant mode ($s = 0$) is left exactly as it was, so that an instability of the mean
        persists. *Different diffusivities*: Turing's instability. Schnakenberg's reaction
        has $\operatorname{tr} J = -\tfrac15$, $\det J = 1$, eigenvalues $-0.1 \pm 0.995i$; but
        $\det(J - sW) = 10 s^2 - 15.5 s + 1$ is negative for $0.0674 < s < 1.4826$, and there $J - sW$ has a positive eigenvalue. An
        instability needs the band to meet the actual spectrum of $I - K$.
    """,
)
def c19(ledger: Ledger) -> None:
    _determinant(ledger)
    op = NonlocalOperator.from_points(midpoints(24), kernels.Gaussian(0.1), "row")
    found = linear_growth(op, J, W)
    tol = tolerance("solve", n=48, scale=40.0)
    ledger.witness(
        "Schnakenberg's reaction on 24 cells, diffusivities 0.5 and 20: growth rate with diffusion, which should not exceed "
        "that without",
        satisfies={STABLE: at_most(abscissa(J), 0.0), POSITIVE: at_least(np.linalg.eigvalsh(W)[0], 0.0)},
        violates=at_most(found, abscissa(J)),
        data={"J": J, "W": W, "eigenvalues of I - K": np.sort(1 - np.linalg.eigvals(op.averaging.to_dense()).real)},
        controls={"both diffusivities 0.5": at_most(linear_growth(op, J, 0.5), abscissa(J) + tol)},
    )
    s = np.linspace(0, 2, 4001)
    peak = np.array([abscissa(J - x * W) for x in s])
    ledger.headline("largest growth rate over all modes $s$", float(peak.max()), rel=1e-9)
    equal = ledger.under(EQUAL)

    def worse(example, weight=lambda mu: mu * np.eye(2)) -> float:
        reaction, omega, mu = example
        op = NonlocalOperator.from_affinity(omega @ omega.T + 0.1, "row")
        return linear_growth(op, reaction, weight(mu)) - abscissa(reaction)

    examples = st.tuples(st.one_of(matrices(2, 2), st.just(J)), matrices(3, 3, 0, 3), st.sampled_from([0.5, 1.0, 4.0]))
    equal.property(
        "growth rate with diffusion minus without",
        examples,
        worse,
        at_most=np.sqrt(tolerance("solve", n=6, scale=8.0)),
        controls={
            r"diffusivities $\mu$ and $40\mu$": lambda example: worse(example, lambda mu: np.diag([mu, 40 * mu]))
        },
        note="A double eigenvalue moves by the square root of a rounding error, hence the root in the bound.",
    )
    unstable = J + 0.3 * np.eye(2)
    mean = ledger.instead("An instability of the mean persists whatever the diffusion")
    mean.equals(
        "growth rate of an unstable reaction with $W = 4I$",
        np.float64(linear_growth(op, unstable, 4.0)),
        np.float64(abscissa(unstable)),
        tol,
        controls={"with plain damping $-4I$ in place of diffusion": np.float64(abscissa(unstable - 4 * np.eye(2)))},
    )
    _depth(ledger)
    ledger.figure("turing", lambda: draw(op, s, peak), "Growth rate of the mode $s$ for the stable reaction with different and with "
                  "equal diffusivities. Ticks mark the spectrum of $I - K$ on 24 cells.")  # fmt: skip


def _determinant(ledger: Ledger) -> None:
    s = sp.symbols("s", real=True)
    symbolic = sp.Matrix([[sp.Rational(4, 5), 1], [-sp.Rational(9, 5), -1]]) - s * sp.diag(sp.Rational(1, 2), 20)
    ledger.instead("Different diffusivities can destabilise").identity(
        r"$\det(J - sW)$",
        symbolic.det(),
        10 * s**2 - sp.Rational(31, 2) * s + 1,
        controls={
            "with the diffusivities exchanged": (symbolic + s * sp.diag(-sp.Rational(39, 2), sp.Rational(39, 2))).det()
        },
    )


def _depth(ledger: Ledger) -> None:
    """A residual network of n blocks of step 1/n, with weights sampled from smooth W(t), tends to the ODE at rate 1/n."""
    rng = np.random.default_rng(ledger.claim.seed)
    A, B, Z0 = (rng.standard_normal((2, 2)) for _ in range(3))

    def run(n: int, scaled: bool = True) -> np.ndarray:
        Z = Z0
        for k in range(n):
            t = k / n if scaled else (k % 2) * 1.0
            Z = network.residual_step(Z, A * np.cos(t), B * (1 + t) / 4, np.tanh, step=1 / n)
        return Z

    depths = np.array([20, 40, 80, 160, 320])
    exact = run(20_480)
    smooth = [float(np.max(np.abs(run(n) - exact))) for n in depths]
    rough = [float(np.max(np.abs(run(n, False) - exact))) for n in depths]
    ledger.instead("Residual blocks are Euler steps of (30) only when scaled by the depth, with smooth $W(t)$").order(
        "distance of $n$ residual blocks from the flow (30)",
        1 / depths,
        smooth,
        1.0,
        controls={"weights that alternate from block to block": rough},
        note=f"The reference has 20480 blocks; fitted order {observed_order(1 / depths, smooth).order:.3f}.",
    )


def draw(op: NonlocalOperator, s: np.ndarray, peak: np.ndarray):
    figure, axes = canvas(height=2.6)
    axes.plot(s, peak, label="$W = \\mathrm{diag}(0.5, 20)$")
    axes.plot(s, [abscissa(J - x * 0.5 * np.eye(2)) for x in s], label="$W = 0.5\\,I$")
    axes.axhline(0, color="k", linewidth=0.6)
    modes = 1 - np.linalg.eigvals(op.averaging.to_dense()).real
    axes.plot(modes, np.full(len(modes), -0.95), "|", color="k", markersize=7)
    axes.set(xlabel="$s = 1 - \\lambda$", ylabel="growth rate", xlim=(0, 2), ylim=(-1.05, 0.55))
    axes.legend()
    return figure


def pairwise_work(work: Callable[[int, Kernel], None], N: int) -> int:
    """Multiplications over pairs of positions, counted while the library does the work."""
    spent = 0
    product = DenseAffinity.apply

    def affinity(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
        nonlocal spent
        spent += len(X) * len(Y) * X.shape[1]
        return kernels.Gaussian().evaluate(X, Y)

    def average(self: DenseAffinity, Z: np.ndarray) -> np.ndarray:
        nonlocal spent
        spent += self.shape[0] * Z.size
        return product(self, Z)

    with mock.patch.object(DenseAffinity, "apply", average):
        work(N, kernels.FunctionKernel(affinity, symmetric=True, nonnegative=True))
    return spent


@claim(
    "C20",
    section=SECTION,
    paper="Tao et al. 2018, Sec. 3.2, after eq. (9)",
    title="A stage costs less than stacked blocks",
    statement=r"""
        The proposed stage of $N$ sub-blocks is cheaper than $N$ original blocks, because the pairwise affinities are computed
        only once.
    """,
    formula=r"\frac{\text{stage}}{\text{blocks}} = \frac{(N + 1) \cdot 2 M^2 C'}{2N \cdot 2 M^2 C'} = \frac{N + 1}{2N}",
    proof=r"""
        Work that grows with $M^2$: an affinity costs $2M^2C'$ operations, so does a product of $K$ with $C'$ columns. Stacked
        blocks need both in each of $N$ blocks, the stage needs one affinity and $N$ products. The ratio is $1$ for $N = 1$ and
        falls to one half: at most a factor of two in operations. (In training a shared affinity saves more, because its
        gradient is formed once.)
    """,
)
def c20(ledger: Ledger) -> None:
    Z = ledger.rng.standard_normal((16, 4))

    def blocks(N: int, kernel) -> None:
        X = Z
        for _ in range(N):
            X = network.original_step(X, kernel, -0.1)

    def stage(N: int, kernel) -> None:
        network.stage(Z, NonlocalOperator.from_points(Z, kernel, "row"), [0.1] * N)

    def ratio(work) -> np.ndarray:
        return np.array([pairwise_work(work, N) / pairwise_work(blocks, N) for N in range(1, 7)])

    N = np.arange(1, 7)
    ledger.equals(
        "counted pairwise work of the stage over that of the blocks, $N = 1, \\ldots, 6$",
        ratio(stage),
        (N + 1) / (2 * N),
        tolerance("elementwise"),
        controls={"blocks against themselves": ratio(blocks)},
    )
    ledger.evidence(
        "the same, largest for $N \\ge 2$: strictly cheaper",
        lambda values: float(np.max(values[1:])),
        of=ratio(stage),
        at_most=0.75,
        controls={"a stage that finds its affinity anew in each sub-block": ratio(blocks)},
    )
    ledger.headline("ratio at $N = 5$", float(ratio(stage)[4]), rel=1e-12)
