"""Section 3.1: stacking original blocks with negative weights."""

from __future__ import annotations

from collections.abc import Callable

import mpmath
import numpy as np
import sympy

from nlmodel import NonlocalOperator
from nlmodel.kernels import Embedded, ExpDot, FunctionKernel, Gaussian
from nlmodel.network import original_flow, original_step, stage
from nlmodel.plot import mode_damping
from nlmodel.testing import tolerance
from validation import Ledger, at_most, canvas, claim
from validation.claims.shared import asymmetry, matrices
from validation.claims.weights_spectrum import SECTION
from validation.photograph import patches


AFFINITY = r"$\omega$ symmetric and positive, $C_i$ its row sums (4)"
NEGATIVE = r"$W^k = -cI$ with $0 < c < 1$"
C = 0.5


def remaining(Z: np.ndarray, kernel, blocks: int = 50) -> float:
    """Share of the norm that is left after `blocks` original blocks with W = -c I, the kernel found anew in each."""
    size = np.linalg.norm(Z)
    for _ in range(blocks):
        Z = original_step(Z, kernel, -C)
    return float(np.linalg.norm(Z) / size)


@claim(
    "C4",
    section=SECTION,
    paper="Tao et al. 2018, Sec. 3.1, with eqs (2)-(6)",
    title="Small negative weights make the features vanish",
    statement=r"""
        If the coefficients of the original block are small and negative, then $Z^k$ tends to vanish when blocks are stacked,
        whatever the initial value.
    """,
    formula=r"Z^{k+1} = Z^k - c\, K(Z^k)\, Z^k \longrightarrow 0",
    assumptions=(AFFINITY, NEGATIVE),
    proof=r"""
        *Not for every kernel.* What lies in the kernel of $K(Z)$ is not touched. $\omega = 1 + (x \cdot y)^2$ is strictly
        positive, and $Z = (1, -1)$ gives $K(Z) Z = 0$. So does the paper's own embedding (13) with a bottleneck $\theta$:
        for $Z_i \in \ker \theta$ with mean zero every affinity equals $1$ and $K(Z) Z$ is the mean, zero.

        *Frozen $K$, $\omega$ strictly positive definite.* The eigenvalues of $K = D^{-1}\omega$ lie in $(0, 1]$, and a mode with
        eigenvalue $\lambda$ is multiplied by $1 - c\lambda \in [1 - c, 1)$: every initial value vanishes. But *constants*
        ($\lambda = 1$) are damped fastest, and oscillations ($\lambda \approx 0$) hardly at all. The original block with negative
        weight is a high-pass filter; diffusion, local or nonlocal, does the opposite: it keeps constants and damps
        oscillations.

        *Kernel found anew, $\omega = e^{x \cdot y}$, continuous time.* $Z' = -D^{-1}\omega Z$ is a gradient flow in the metric
        $D(Z)$: with $\Phi(Z) = \tfrac12 \sum_{ij} e^{Z_i \cdot Z_j}$ one has $\nabla_{Z_i} \Phi = \sum_j e^{Z_i \cdot Z_j} Z_j$, so
        $$\frac{d\Phi}{dt} = - (\omega Z)^\top D^{-1} (\omega Z) \le 0.$$
        $\Phi \ge \tfrac12 \sum_i e^{|Z_i|^2}$ keeps the trajectory bounded, and by LaSalle's principle it tends to the set where
        $\omega Z = 0$, which for a strictly positive definite kernel is $Z = 0$ (C17). So every initial value vanishes, for
        softmax attention too.

        *But slowly.* Take scalar features, the Gaussian $e^{-|x-y|^2/2}$, and write $m_p = \tfrac1M \sum_i (z_i - \bar z)^p$. Near
        zero $K_{ij} = \tfrac1M (1 + z_i z_j - \tfrac12 z_j^2 + \tfrac12 m_2) + \dots$, so that
        $$\bar z' = -\bar z + \tfrac12 m_3 + \dots, \qquad (z_i - \bar z)' = -m_2 (z_i - \bar z) + \dots$$
        Hence $m_2' = -2 m_2^2 + \dots$ and $m_2(t) \sim 1/(2t)$: the features die like $t^{-1/2}$. The mean falls exponentially,
        but only down to $\tfrac12 m_3 \sim t^{-3/2}$, which is zero for symmetric data alone. For two positions $Z = (z, -z)$
        all this is exact: $z' = -z \tanh z^2$.
    """,
)
def c4(ledger: Ledger) -> None:
    _witnesses(ledger)
    _frozen(ledger)
    _gradient_flow(ledger)
    _slow(ledger)


def _witnesses(ledger: Ledger) -> None:
    quartic = FunctionKernel(lambda X, Y: 1 + (X @ np.swapaxes(Y, -1, -2)) ** 2, symmetric=True, nonnegative=True)
    pair = np.array([[1.0], [-1.0]])
    photo = patches(stride=80)
    theta = ledger.rng.standard_normal((24, 48)) / np.sqrt(48)
    unseen = np.linalg.svd(theta)[2][24:]
    hidden = photo @ unseen.T @ unseen
    for words, Z, kernel, twin in (
        (r"$\omega = 1 + (x \cdot y)^2$ and $Z = (1, -1)$", pair, quartic, Gaussian()),
        (
            f"{len(photo)} patches of a photograph, seen through an embedding of rank 24, in the part that it does not see",
            hidden,
            Embedded(Gaussian(7.0), theta),
            Gaussian(1.0),
        ),
    ):
        omega = kernel(Z)
        ledger.witness(
            f"{words}: share of the norm left after 50 blocks",
            satisfies={AFFINITY: asymmetry(omega) == 0.0 and omega.min() > 0, NEGATIVE: 0 < C < 1},
            violates=at_most(remaining(Z, kernel), 0.5),
            data={"Z": Z, "omega": omega},
            controls={"Gaussian kernel on the same features": at_most(remaining(Z, twin), 0.5)},
        )


def _frozen(ledger: Ledger) -> None:
    frozen = ledger.under(r"$\omega$ strictly positive definite, $K$ frozen")
    X = np.linspace(-2, 2, 9)[:, None] + 0.1 * ledger.rng.standard_normal((9, 1))
    op = NonlocalOperator.from_points(X, Gaussian(0.5), "row")
    root = np.sqrt(np.asarray(op.measure))
    omega = np.exp(-2.0 * (X - X.T) ** 2)
    values, vectors = np.linalg.eigh(omega / np.sqrt(np.outer(omega.sum(1), omega.sum(1))))
    blocks, Z = 40, X
    for _ in range(blocks):
        Z = Z - C * op.average(Z)
    modes = vectors.T @ (root[:, None] * X)
    expected = (vectors @ ((1 - C * values[:, None]) ** blocks * modes)) / root[:, None]
    frozen.equals(
        r"40 blocks on nine positions against $(1 - c\lambda)^{40}$, mode by mode",
        Z,
        expected,
        tolerance("solve", n=9, scale=2.0, cond=float(root.max() / root.min())),
        controls={"the proposed stage with the same weight": stage(X, op, [C] * blocks)},
    )
    frozen.evidence(
        r"largest factor $|1 - c\lambda|$ of any mode",
        lambda affinity: _largest_factor(affinity),
        of=omega,
        at_most=1 - 1e-3,
        controls={"two equal positions": np.exp(-2.0 * (X[[0, 0, *range(2, 9)]] - X[[0, 0, *range(2, 9)]].T) ** 2)},
    )

    filters = ledger.instead(
        "The original block with negative weight is a high-pass filter, the proposed one a low-pass filter"
    )
    photo = patches(stride=ledger.size(40, 80))
    camera = NonlocalOperator.from_points(photo, Gaussian(7.0), "row")
    eigenvalues, modes = np.linalg.eigh(camera.symmetrized().to_dense())
    smooth, rough = (modes[:, [k]] / np.sqrt(np.asarray(camera.measure))[:, None] for k in (-1, 0))

    def contrast(block: Callable[[np.ndarray], np.ndarray]) -> float:
        """Factor of the roughest mode over factor of the constants."""
        return float(
            np.linalg.norm(block(rough))
            / np.linalg.norm(rough)
            / (np.linalg.norm(block(smooth)) / np.linalg.norm(smooth))
        )

    def proposed(Z: np.ndarray) -> np.ndarray:
        return np.asarray(stage(Z, camera, [C]))

    filters.evidence(
        f"{len(photo)} patches of a photograph, one original block: factor of the roughest mode over that of constants",
        contrast,
        of=lambda Z: Z - C * camera.average(Z),
        at_least=1.9,
        controls={"one proposed block": proposed},
    )
    filters.equals(
        "constants after one proposed block",
        proposed(np.ones((len(photo), 1))),
        np.ones((len(photo), 1)),
        tolerance("reduction", n=len(photo)),
        controls={"after one original block": 1 - C * camera.average(np.ones((len(photo), 1)))},
    )
    shares = np.sum((modes.T @ (np.sqrt(np.asarray(camera.measure))[:, None] * photo)) ** 2, axis=1)
    ledger.figure(
        "damping",
        lambda: mode_damping(C, eigenvalues, shares / shares.sum()),
        "Above: what one block does to a mode of eigenvalue $\\lambda$. The original block with negative weight halves the "
        f"constants and lets oscillations pass, the proposed one does the opposite. Below: {len(photo)} patches of a photograph, "
        "and how much of them lies in each mode of their own kernel.",
    )


def _largest_factor(omega: np.ndarray) -> float:
    K = NonlocalOperator.from_affinity(omega, "row").symmetrized().to_dense()
    return float(np.max(np.abs(1 - C * np.linalg.eigvalsh(K))))


def _gradient_flow(ledger: Ledger) -> None:
    softmax = ledger.under(r"$\omega = e^{x \cdot y}$, found anew from $Z$, in continuous time")
    z = sympy.symbols("z:3", real=True)
    omega = [[sympy.exp(a * b) for b in z] for a in z]
    rbf = [[sympy.exp(-((a - b) ** 2) / 2) for b in z] for a in z]

    def gradient(affinity: list[list[sympy.Expr]]) -> list[list[sympy.Expr]]:
        half_sum = sum(sum(row) for row in affinity) / 2
        return [[sympy.diff(half_sum, a)] for a in z]

    softmax.identity(
        r"$\nabla \Phi = \omega Z$ for $\Phi = \frac12 \sum_{ij} e^{z_i z_j}$, three positions",
        gradient(omega),
        [[sum(a * b for a, b in zip(row, z, strict=True))] for row in omega],
        domain=dict.fromkeys(z, (-1, 1)),
        controls={"the same with the Gaussian": gradient(rbf)},
    )

    def ascent(sign: float):
        """Rate of Phi along Z' = sign K(Z) Z W^T with the library's block, W = c I."""

        def measure(Z: np.ndarray) -> float:
            return sign * float(np.sum((ExpDot()(Z) @ Z) * original_flow(Z, ExpDot(), C)))

        return measure

    softmax.property(
        r"$d\Phi/dt$ along the flow",
        matrices(3, 2),
        ascent(-1.0),
        at_most=0.0,
        controls={"with a positive weight": ascent(1.0)},
    )
    start = ledger.rng.standard_normal((6, 2))
    softmax.evidence(
        "six normal points: share of the norm left after 500 blocks",
        lambda kernel: remaining(start, kernel, 500),
        of=ExpDot(),
        at_most=0.1,
        controls={"an embedding that sees one of two channels": Embedded(ExpDot(), np.array([[1.0, 0.0]]))},
    )


def _slow(ledger: Ledger) -> None:
    slow = ledger.instead(
        "With the Gaussian kernel found anew the features die like $t^{-1/2}$, their mean like $t^{-3/2}$"
    )
    kernel, steps = Gaussian(), 25
    Z = np.array([[1.2], [-1.2]])
    with mpmath.workdps(30):
        z = mpmath.mpf("1.2")
        for _ in range(steps):
            Z = original_step(Z, kernel, -C)
            z = z * (1 - mpmath.mpf(C) * mpmath.tanh(z * z))
        oracle = np.array([[float(z)], [-float(z)]])
    wrong = np.array([[1.2], [-1.2]])
    for _ in range(steps):
        wrong = original_step(wrong, kernel, -C, normalize="none")
    slow.equals(
        r"two positions, 25 blocks, against $z \mapsto z\,(1 - c \tanh z^2)$",
        Z,
        oracle,
        tolerance("elementwise", scale=float(4 * steps)),
        controls={"without normalisation": wrong},
    )
    times, mean, second, third = _moments(ledger.rng.exponential(size=(20, 1)))
    slow.order("second moment $m_2$ against $t$", times, second, -1.0, controls={"its root": np.sqrt(second)})
    slow.evidence(
        r"$|2 t\, m_2 - 1|$ at $t = 800$",
        lambda values: abs(2 * times[-1] * values[-1] - 1),
        of=second,
        at_most=0.02,
        controls={"$m_2$ counted twice": 2 * second},
    )
    slow.order(
        r"mean $\bar z$ against $t$, for twenty skewed features",
        times,
        np.abs(mean),
        -1.5,
        controls={"$e^{-t/100}$": np.exp(-times / 100)},
    )
    slow.evidence(
        r"$|2 \bar z / m_3 - 1|$ at $t = 800$",
        lambda values: abs(2 * mean[-1] / values[-1] - 1),
        of=third,
        at_most=0.02,
        controls={"$2 m_3$ in place of $m_3$": 2 * third},
    )
    ledger.figure(
        "slow",
        lambda: draw(times, second),
        "Second moment of twenty scalar features under original blocks with $W = -I/2$ and the kernel found anew: algebraic, "
        "not exponential.",
    )


def _moments(Z: np.ndarray) -> np.ndarray:
    """Rows: the times c k for k = 100, 200, ..., 1600; mean, second and third central moment."""
    at = {100 * 2**p for p in range(5)}
    rows = []
    for k in range(1, max(at) + 1):
        Z = original_step(Z, Gaussian(), -C)
        if k in at:
            centred = Z - Z.mean()
            rows.append((C * k, Z.mean(), np.mean(centred**2), np.mean(centred**3)))
    return np.array(rows).T


def draw(times: np.ndarray, second: np.ndarray):
    figure, axes = canvas(height=2.4)
    axes.loglog(times, second, "o", label="$m_2$")
    axes.loglog(times, 1 / (2 * times), linewidth=0.8, label=r"$1/(2t)$")
    axes.set(xlabel="$t = ck$", ylabel="second moment")
    axes.legend()
    return figure
