"""Eqs (26)-(30): the original network as a flow, its steady states and its growth."""

from __future__ import annotations

import mpmath
import numpy as np
from scipy.integrate import solve_ivp

from nlmodel import NonlocalOperator, kernels, network
from nlmodel.testing import tolerance
from validation import Ledger, Section, at_least, at_most, canvas, claim
from validation.claims.shared import matrices, midpoints, smallest_eigenvalue
from validation.photograph import patches


SECTION = Section(
    "4.5",
    "The original network as a flow",
    r"Stacked original blocks with weight $-I$ are Euler steps of $z_t = \tilde{\mathcal{L}} z$ with "
    r"$(\tilde{\mathcal{L}}^h Z)_i = -\sum_j \omega(Z_i, Z_j) Z_j$, whose kernel moves with the features (26)-(28). (Section numbers from 4.5 on are this report's; the equations are the paper's.)",
)
NONNEGATIVE = r"$\omega \ge 0$"
STRICT = r"$\omega$ strictly positive definite: Gram matrices of distinct points are positive definite"
POLYNOMIAL = kernels.FunctionKernel(lambda X, Y: 1 + (X @ Y.T) ** 2, symmetric=True, nonnegative=True)


def flow_size(Z: np.ndarray, kernel) -> float:
    """|K(Z) Z| / |Z| in the Frobenius norm: zero exactly at the steady states of (28)."""
    return float(np.linalg.norm(network.original_flow(Z, kernel)) / np.linalg.norm(Z))


@claim(
    "C17",
    section=SECTION,
    paper="Tao et al. 2018, eqs (26)-(28)",
    title="Zero is the only steady state",
    statement=r"""
        Since $\omega$ is non-negative, the only steady state of the original network's flow, $\tilde{\mathcal{L}}^h Z = 0$, is $Z = 0$.
    """,
    formula=r"\sum_j \omega(Z_i, Z_j)\, Z_j = 0 \ \text{for all } i \quad\Longrightarrow\quad Z = 0",
    assumptions=(NONNEGATIVE,),
    proof=r"""
        $Z$ is a steady state if and only if every column of $Z$ lies in the null space of $K(Z)$; dividing rows by $C_i$ changes
        nothing. Signs of $\omega$ do not prevent this.

        *Witnesses.* $\omega = 1 + (xy)^2 > 0$ at $Z = (1, -1)$: both rows give $2 - 2 = 0$. With the paper's own (13) and a bottleneck
        $\theta$ take $Z = (v, -v)$ with $\theta v = 0$: all affinities are equal and the mean is zero. A top-hat of the
        distance on $\pm 0.3$ does the same.

        *Sufficient conditions.* (Z1) $\omega$ strictly positive definite. Group equal points: values $z_q$ with multiplicity
        $m_q$ and Gram matrix $G$ give $G\,(m_q z_q) = 0$, so $m_q z_q = 0$. In numbers, $\lVert \omega Z \rVert \ge \lambda_{\min}(G) \lVert Z \rVert$.
        (Z2) One-signed data: a linear functional $\ell \ge 0$ on all $Z_j$, not all zero, and $\omega > 0$; apply $\ell$. Features after
        a ReLU are of this kind. (Z3) Aligned kernels, $\omega(x, y)\, x \cdot y \ge 0$ and $\omega(x, x) > 0$ for $x \ne 0$:
        $\langle Z_i, (\omega Z)_i \rangle \ge \omega(Z_i, Z_i) |Z_i|^2$. The dot product is of this kind, although it is not
        non-negative. None of these says that the flow converges.
    """,
)
def c17(ledger: Ledger) -> None:
    rng = ledger.rng
    theta = rng.standard_normal((3, 6))
    v = np.linalg.svd(theta)[2][-1]
    pair = np.array([[1.0], [-1.0]])
    bottleneck = np.stack([v, -v, 2 * v, -2 * v])
    tol = tolerance("reduction", n=24)
    cases = (
        (r"$\omega = 1 + (xy)^2$, two points", pair, POLYNOMIAL, {}),
        (r"Gaussian behind a bottleneck $\theta$ of rank 3 on 6 channels, four points in its null space", bottleneck,
         kernels.Embedded(kernels.Gaussian(), theta), {"theta": theta}),
        (r"$\omega = 1_{|x - y| < 1}$ at $\pm 0.3$", 0.3 * pair, kernels.TopHat(1.0), {}),
    )  # fmt: skip
    for words, Z, kernel, more in cases:
        ledger.witness(
            f"{words}: $|K(Z)Z| / |Z|$, which only $Z = 0$ should make zero",
            satisfies={NONNEGATIVE: at_least(float(kernel(Z).min()), 0.0)},
            violates=at_least(flow_size(Z, kernel), tol),
            data={"Z": Z, "omega": kernel(Z), **more},
            controls={
                "the same features, Gaussian kernel without bottleneck": at_least(flow_size(Z, kernels.Gaussian()), tol)
            },
        )
    _sufficient(ledger)
    X = patches(stride=80)
    G = kernels.Gaussian(7.0)
    ledger.under(STRICT).evidence(
        f"smallest eigenvalue of the affinity of {len(X)} patches of a photograph: their features are no steady state",
        lambda kernel: smallest_eigenvalue(kernel(X)),
        of=G,
        at_least=tolerance("solve", n=len(X), scale=float(len(X))),
        controls={"behind a bottleneck that sees one pixel": kernels.Embedded(G, np.eye(1, X.shape[1]))},
    )


def _sufficient(ledger: Ledger) -> None:
    narrow = kernels.Gaussian(0.4)

    def margin(Z: np.ndarray, kernel: kernels.Kernel = narrow) -> float:
        """|omega Z| - lambda_min(G) |Z|, G the Gram matrix of the distinct points, over |Z|; and lambda_min > 0."""
        distinct = np.unique(Z, axis=0)
        least = smallest_eigenvalue(kernel(distinct))
        size = np.linalg.norm(Z)
        if size == 0:
            return 1.0
        raw = np.linalg.norm(network.original_flow(Z, kernel, normalize="none"))
        return min(float((raw - least * size) / size) + tolerance("reduction", n=16), float(raw / size) - 1e-3, least)

    ledger.under(STRICT).property(
        r"(Z1) $|\omega Z| - \lambda_{\min}(G) |Z|$ and $\lambda_{\min}(G)$, over $|Z|$, repeated points included",
        matrices(4, 2),
        margin,
        at_least=0.0,
        controls={r"$\omega = 1 + (x \cdot y)^2$": lambda Z: margin(Z, POLYNOMIAL)},
        note="Points lie on a lattice of spacing $1/3$ and the bandwidth is $0.4$, so $|\\omega Z|/|Z|$ stays above $10^{-3}$.",
    )
    one_signed = ledger.instead("(Z2) Features of one sign, positive kernel: only zero")
    one_signed.property(
        r"$|K(Z)Z|_\infty - \min_i C_i^{-1} \min_j \omega_{ij} \cdot |Z|_\infty$, $Z \ge 0$",
        matrices(4, 2, 0, 3),
        lambda Z: _one_sign(Z),
        at_least=-tolerance("reduction", n=8),
        controls={"features of both signs": lambda Z: _one_sign(Z - Z.mean(0)) if np.ptp(Z) else -1.0},
    )
    aligned = ledger.instead(r"(Z3) Dot product: $\langle Z, K Z \rangle = |Z^{\mathsf T} Z|_F^2$, only zero")
    aligned.property(
        r"$\langle Z, ZZ^{\mathsf T} Z \rangle - |Z|^4 / C$ with $C$ channels",
        matrices(4, 2),
        lambda Z: _aligned(Z, kernels.DotProduct()),
        at_least=-tolerance("reduction", n=32, scale=64.0),
        controls={
            "a skewed dot product $x \\cdot J y$": lambda Z: _aligned(
                Z, kernels.Embedded(kernels.DotProduct(), np.eye(2), SKEW)
            )
        },
    )


SKEW = np.array([[0.0, 1.0], [-1.0, 0.0]])


def _one_sign(Z: np.ndarray) -> float:
    omega = POLYNOMIAL(Z)
    least = float(np.min(omega / omega.sum(1, keepdims=True)))
    return float(np.max(np.abs(network.original_flow(Z, POLYNOMIAL))) - least * np.max(np.abs(Z)))


def _aligned(Z: np.ndarray, kernel) -> float:
    flow = network.original_flow(Z, kernel, normalize="none")
    return float(np.sum(Z * flow) - np.sum(Z**2) ** 2 / Z.shape[1])


NORMALISED = r"kernels normalised, $C_i = 1$ (11)"


@claim(
    "C18",
    section=SECTION,
    paper="Tao et al. 2018, with eqs (15), (27)",
    title="Positive weights: original unstable, proposed stable",
    statement=r"""
        With positive eigenvalues of $W$ the original network is unstable in finite time, while the proposed stage is stable in
        both directions of time.
    """,
    formula=r"z' = +\mu K(z)\, z \quad\text{against}\quad z' = \pm \mu (K - I) z",
    assumptions=(NORMALISED,),
    proof=r"""
        "Stable in finite time" means a bounded growth factor, for the proposed stage run backwards up to
        $e^{\mu s_{\max} t} \le e^{2\mu t}$. Judge both alike: normalised kernels have $\lVert K(Z) \rVert_\infty = 1$ for every $Z$, so even the nonlinear flow
        $Z' = \mu K(Z) Z$ obeys $\lVert Z(t) \rVert_\infty \le e^{\mu t} \lVert Z_0 \rVert_\infty$ by Gronwall. One block grows by at
        most $1 + \mu$, one anti-diffusion block by $1 + \mu s_{\max} \le 1 + 2\mu$. By the paper's own criterion both are
        stable in finite time, and the original has the *smaller* bound.

        The real differences are three. *What* grows: the original amplifies exactly the mean, the stage keeps constants and
        the weighted mean for both signs. The stage's kernel is frozen, its flow linear. And *without* (11) the
        original does blow up: for one point $\omega = e^{xy}$ gives $z' = e^{z^2} z$, with blow-up time
        $\int_{z_0}^\infty dz / (z e^{z^2}) = \tfrac12 E_1(z_0^2)$, and the dot product $z' = z^3$, at $1 / (2 z_0^2)$.
    """,
)
def c18(ledger: Ledger) -> None:
    Z0 = ledger.rng.standard_normal((40, 2))
    mu, time, gaussian = 1.0, 2.0, kernels.Gaussian()

    def growth(normalize: str, kernel=gaussian, steps: int = 400) -> float:
        """max|Z(t)| / max|Z_0| of the original flow with weight +mu, by steps of t/steps."""
        Z = Z0
        for _ in range(steps):
            Z = Z + (time / steps) * mu * network.original_flow(Z, kernel, normalize=normalize)
            if np.max(np.abs(Z)) > 1e6:
                return np.inf
        return float(np.max(np.abs(Z)) / np.max(np.abs(Z0)))

    found, allowed = growth("row"), float(np.exp(2 * mu * time))
    ledger.witness(
        r"forty normal points, Gaussian kernel, $\mu = 1$, $t = 2$: growth of the original flow, which instability would carry "
        r"beyond the $e^{2\mu t}$ granted to the proposed stage",
        satisfies={NORMALISED: at_most(_row_defect(Z0, gaussian), tolerance("reduction", n=40))},
        violates=at_least(found, allowed),
        data={"Z0": Z0, "growth": found, "bound e^(mu t)": np.exp(mu * time)},
        controls={"the same flow without normalisation": at_least(growth("none"), allowed)},
    )
    ledger.headline("growth of the normalised original flow at $t = 2$", found, rel=1e-6)
    same = ledger.instead(r"Normalised, one block of either kind grows by a bounded factor")

    def block(Z: np.ndarray, normalize: str = "row") -> float:
        return float(
            np.max(np.abs(network.original_step(Z, gaussian, 0.5, normalize=normalize))) - 1.5 * np.max(np.abs(Z))
        )

    same.property(
        r"$\lVert Z + \mu K(Z) Z \rVert_\infty - (1 + \mu) \lVert Z \rVert_\infty$, $\mu = \tfrac12$",
        matrices(4, 2),
        block,
        at_most=tolerance("reduction", n=8, scale=2.0),
        controls={"without normalisation": lambda Z: block(Z, "none")},
    )
    _means(ledger)
    _blow_up(ledger)
    ledger.figure("growth", lambda: draw(Z0, gaussian, mu, time), "Growth of the original flow with positive weight, normalised and not, "
                  "and of the proposed stage run backwards, for the same forty points.")  # fmt: skip


def _row_defect(Z: np.ndarray, kernel) -> float:
    K = NonlocalOperator.from_points(Z, kernel, "row").averaging.to_dense()
    return float(np.max(np.abs(K.sum(1) - 1)))


def _means(ledger: Ledger) -> None:
    what = ledger.instead("The original block amplifies the mean by $1 + \\mu$; the stage keeps it, for both signs")
    op = NonlocalOperator.from_points(midpoints(12), kernels.Gaussian(0.3), "row")
    c = np.full((12, 1), 3.0)
    tol = tolerance("reduction", n=12, scale=6.0)
    what.equals(
        "constants after an original block with $\\mu = 0.5$",
        network.original_step(c, kernels.Gaussian(), 0.5),
        1.5 * c,
        tol,
        controls={"after a sub-block of the stage": network.stage(c, op, [0.5])},
    )
    for mu in (0.5, -0.5):
        what.equals(
            f"constants after a sub-block with weight ${mu:g}$",
            network.stage(c, op, [mu]),
            c,
            tol,
            controls={"after an original block": network.original_step(c, kernels.Gaussian(), mu)},
        )


def _blow_up(ledger: Ledger) -> None:
    without = ledger.instead("Without normalisation the original network blows up in finite time")
    oracles = {
        "dot product, $z_0 = 1$: $1/(2z_0^2)$": (kernels.DotProduct(), 1e6, 0.5),
        r"$e^{xy}$, $z_0 = 1$: $\tfrac12 E_1(z_0^2)$": (kernels.ExpDot(), 6.0, float(mpmath.e1(1) / 2)),
    }
    for words, (kernel, far, exact) in oracles.items():

        def rate(_, z, kernel=kernel):
            return network.original_flow(z[:, None], kernel, normalize="none")[:, 0]

        def outgrown(_, z, far=far):
            return z[0] - far

        outgrown.terminal = True  # pyright: ignore[reportFunctionMemberAccess]
        run = solve_ivp(rate, (0, 1), [1.0], method="DOP853", rtol=1e-11, atol=1e-11, events=outgrown)
        without.equals(
            f"time of blow-up, {words}",
            np.float64(run.t[-1]),
            np.float64(exact),
            1e-8,
            controls={"the normalised flow at the end of the run": np.float64(1.0)},
            note="Solver tolerance $10^{-11}$; what is left of the way to infinity takes less than $10^{-12}$.",
        )


def draw(Z0: np.ndarray, kernel, mu: float, time: float):
    steps = 400
    op = NonlocalOperator.from_points(Z0, kernel, "row")
    curves: dict[str, list[float]] = {}
    for words, move in {
        r"original, normalised, $+\mu$": lambda Z: network.original_flow(Z, kernel, mu),
        r"original, not normalised, $+\mu$": lambda Z: network.original_flow(Z, kernel, mu, normalize="none"),
        r"proposed, $-\mu$": lambda Z: -mu * (op @ Z),
    }.items():
        Z, sizes = Z0, [1.0]
        for _ in range(steps):
            Z = Z + (time / steps) * move(Z)
            sizes.append(float(np.max(np.abs(Z)) / np.max(np.abs(Z0))))
            if sizes[-1] > 1e3:
                break
        curves[words] = sizes
    figure, axes = canvas(height=2.6)
    for words, sizes in curves.items():
        axes.semilogy(np.arange(len(sizes)) * time / steps, sizes, label=words)
    t = np.linspace(0, time)
    axes.semilogy(t, np.exp(mu * t), "k--", linewidth=0.8, label=r"$e^{\mu t}$")
    axes.semilogy(t, np.exp(2 * mu * t), "k:", linewidth=0.8, label=r"$e^{2\mu t}$")
    axes.set(xlabel="time $t$", ylabel=r"$\|Z(t)\|_\infty / \|Z_0\|_\infty$", ylim=(0.8, 1e3))
    axes.legend()
    return figure
