"""Section 4.4: stability in the energy norm, where no field grows for even one step."""

from __future__ import annotations

import numpy as np
import scipy.linalg
import sympy

from nlmodel import NonlocalOperator
from nlmodel.kernels import Gaussian
from nlmodel.stability import cfl_limit, tied_weight
from nlmodel.testing import tolerance
from validation import Ledger, claim
from validation.claims.cfl import SECTION
from validation.claims.full_matrix import affinities, largest_s, row, update
from validation.photograph import patches


def energy_norm(omega: np.ndarray, W: np.ndarray, tau: float, measure: np.ndarray | None = None) -> float:
    """Norm of the hand-built update in the measure of the row sums, or in the one given."""
    root = np.sqrt(omega.sum(axis=1) if measure is None else measure).repeat(len(W))
    return float(np.linalg.norm(root[:, None] * update(omega, W, tau) / root, 2))


def exact_energy_limit(omega: np.ndarray, W: np.ndarray) -> float:
    """1 / (s_max nu), nu the largest value of |Wx|^2 / x^H (W + W^H) x, by two symmetric eigenproblems."""
    nu = scipy.linalg.eigvalsh(W.conj().T @ W, W + W.conj().T)[-1]
    return float(1 / (largest_s(omega) * nu))


def dissipative(rng: np.random.Generator, *, real: bool) -> np.ndarray:
    """A random 3 x 3 matrix, not normal, with a positive definite Hermitian part."""
    A = rng.standard_normal((3, 3)) if real else rng.standard_normal((3, 3)) + 1j * rng.standard_normal((3, 3))
    return A - A.conj().T + A @ A.conj().T / 2 + 0.2 * np.eye(3)


@claim(
    "S-2",
    section=SECTION,
    paper="Tao et al. 2018, Sec. 4.4 (stability in norm)",
    title="Stability in the energy norm is a matrix inequality",
    statement=r"""
        A sub-block with a self-adjoint $K$ lets no field grow in the measure of $K$ if and only if
        $s_{\max} W^{\mathsf T} W \le W + W^{\mathsf T}$ in the order of symmetric matrices. A bottleneck $W_Z W_g$ of
        rank $r < C$ in general position fails this at every scale; a tied $W = B B^{\mathsf T}$ meets it if and only if
        $\lVert B \rVert^2 s_{\max} \le 2$; and if $\widetilde W > 0$ any scale up to
        $2 \lambda_{\min}(\widetilde W) / (s_{\max} \lVert W \rVert^2)$ meets it.
    """,
    formula=r"\max_s \lVert I - sW \rVert_2 \le 1 \quad\Longleftrightarrow\quad s_{\max}\, W^{\mathsf T} W \le W + W^{\mathsf T}",
    proof=r"""
        In an orthonormal basis of eigenvectors of $I - K$ the sub-block is block diagonal with blocks $I - sW$, so its norm is
        $\max_s \lVert I - sW \rVert$. $\lVert I - sW \rVert \le 1$ means
        $$(I - sW)^{\mathsf T} (I - sW) - I = s \bigl( s W^{\mathsf T} W - W - W^{\mathsf T} \bigr) \le 0,$$
        which is hardest at $s_{\max}$. For invertible $W$ the largest scale is $\lambda_{\min}(W^{-1} + W^{-\mathsf T}) / s_{\max}$.
        $s_{\max} \alpha^2 W^{\mathsf T} W \le s_{\max} \alpha^2 \lVert W \rVert^2 \le 2 \alpha \lambda_{\min}(\widetilde W)$ gives the
        last part, a bound that is sharp for $W = \mu I$ but not in general.
        With $P = [W_Z, W_g^{\mathsf T}]$, $W + W^{\mathsf T}$ has at least $\operatorname{rank} P - r$ negative eigenvalues, in
        general position $\min(r, C - r) > 0$ of them (C2): then $\lVert I - \varepsilon s W \rVert - 1$ is
        $\varepsilon s |\lambda_{\min}(\widetilde W)|$ to first order.

        The measure matters: for $K = D^{-1} \omega$ the norm is that of the row sums. In the Euclidean norm the sub-block is no
        contraction in general, even when it is in its own.
    """,
)
def s_2(ledger: Ledger) -> None:
    s, *w = sympy.symbols("s w:4", real=True)
    W = sympy.Matrix(2, 2, w)
    square = (sympy.eye(2) - s * W).T * (sympy.eye(2) - s * W) - sympy.eye(2)
    ledger.identity(
        r"$(I - sW)^{\mathsf T}(I - sW) - I$",
        square,
        s * (s * W.T * W - W - W.T),
        controls={r"with $W W^{\mathsf T}$": s * (s * W * W.T - W - W.T)},
    )
    _against_norms(ledger)
    _bottlenecks(ledger)
    _tied(ledger)


def _against_norms(ledger: Ledger) -> None:
    kernels = [omega for omega in affinities(ledger.rng, ledger.size(100, 20)) if np.array_equal(omega, omega.T)]
    cases = [(omega, dissipative(ledger.rng, real=real)) for omega in kernels for real in (True, False)]
    found = np.array([cfl_limit(row(omega), W, "energy").value for omega, W in cases])
    exact = np.array([exact_energy_limit(omega, W) for omega, W in cases])
    spectral = np.array([cfl_limit(row(omega), W).value for omega, W in cases])
    ledger.evidence(
        f"{len(cases)} pairs of a random kernel and a real or complex weight: largest relative difference from the generalised "
        "eigenvalue problem",
        lambda limits: float(np.max(np.abs(limits / exact - 1))),
        of=found,
        at_most=1e-10,
        controls={"the spectral limit": spectral},
    )
    below, above = (
        np.array([energy_norm(omega, W, f * tau) - 1 for (omega, W), tau in zip(cases, found, strict=True)])
        for f in (0.999, 1.01)
    )
    plain = [
        energy_norm(omega, W, 0.999 * tau, np.ones(len(omega))) - 1
        for (omega, W), tau in zip(cases, found, strict=True)
    ]
    tol = tolerance("solve", n=27, cond=4.0)
    ledger.evidence(
        "largest norm of the full matrix, minus one, at 0.999 of the limit",
        np.max,
        of=below,
        at_most=tol,
        controls={"at 1.01 of it": above, "at 0.999 of it, in the Euclidean norm": np.array(plain)},
    )
    ledger.evidence(
        "smallest norm of the full matrix, minus one, at 1.01 of the limit",
        np.min,
        of=above,
        at_least=tol,
        controls={"at 0.999 of it": below},
    )
    real = [(omega, W, tau) for (omega, W), tau in zip(cases, found, strict=True) if np.isrealobj(W)]

    def ratio(smallest) -> float:
        """Largest ratio of the sufficient scale to the limit."""
        return max(
            2 * smallest(W) / (largest_s(omega) * np.linalg.norm(W, 2) ** 2 * tau) for omega, W, tau in real[::5]
        )

    ledger.evidence(
        r"largest ratio of $2\lambda_{\min}(\widetilde W)/(s_{\max} \lVert W \rVert^2)$ to the limit",
        ratio,
        of=lambda W: float(np.linalg.eigvalsh((W + W.T) / 2)[0]),
        at_most=1 + tol,
        controls={
            r"with the largest eigenvalue of $\widetilde W$": lambda W: float(np.linalg.eigvalsh((W + W.T) / 2)[-1])
        },
    )


def _bottlenecks(ledger: Ledger) -> None:
    rng = ledger.rng
    omega = np.exp(-0.5 * (np.arange(5.0)[:, None] - np.arange(5.0)) ** 2)
    op = row(omega)
    factors = [(rng.standard_normal((8, r)), rng.standard_normal((r, 8))) for r in (1, 2, 4, 6, 7) for _ in range(20)]
    ledger.evidence(
        "largest limit of 100 random bottlenecks of ranks 1, 2, 4, 6, 7 on 8 channels",
        lambda weights: max(cfl_limit(op, W, "energy").value for W in weights),
        of=[W_Z @ W_g for W_Z, W_g in factors],
        at_most=0.0,
        controls={
            "tied factors": [W_Z @ W_Z.T for W_Z, _ in factors],
            "rank 8, with a positive definite symmetric part": [
                A @ A.T + A - A.T for A in rng.standard_normal((3, 8, 8))
            ],
        },
    )
    W = factors[40][0] @ factors[40][1] / 8
    scales = 0.1 * 0.5 ** np.arange(6)
    s_max = largest_s(omega)
    skew = (W - W.T) / 2

    def swelling(W: np.ndarray) -> list[float]:
        return [float(np.linalg.norm(np.eye(8) - e * s_max * W, 2)) - 1 for e in scales]

    ledger.order(
        r"$\lVert I - \varepsilon s_{\max} W \rVert - 1$ by $\varepsilon$, a random bottleneck of rank 4",
        scales,
        swelling(W),
        1.0,
        controls={"its antisymmetric part": swelling(skew)},
    )


def _tied(ledger: Ledger) -> None:
    X = patches(stride=80)
    op = NonlocalOperator.from_points(X, Gaussian(5.0), "row")
    B = ledger.rng.standard_normal((48, 24)) / np.sqrt(48)
    distances = np.sum((X[:, None] - X[None]) ** 2, axis=-1)
    omega = np.exp(-distances / 50)
    s_max = largest_s(omega)
    size = float(np.linalg.norm(B, 2))
    tol = tolerance("solve", n=len(X))
    ledger.equals(
        f"{len(X)} patches of a photograph: limit of $BB^{{\\mathsf T}}$ against $2/(s_{{\\max}} \\lVert B \\rVert^2)$",
        np.float64(cfl_limit(op, B @ B.T, "energy").value),
        np.float64(2 / (s_max * size**2)),
        tol,
        controls={r"with $\lVert B \rVert$ for $\lVert B \rVert^2$": np.float64(2 / (s_max * size))},
    )
    ledger.headline("limit in norm of a tied weight on the photograph", cfl_limit(op, B @ B.T, "energy").value)
    ledger.equals(
        r"a tied weight scaled by the library for this $s_{\max}$: limit",
        np.float64(cfl_limit(op, tied_weight(3 * B, s_max), "energy").value),
        np.float64(1.0),
        tol,
        controls={"scaled for every Markov kernel": np.float64(cfl_limit(op, tied_weight(3 * B), "energy").value)},
    )
