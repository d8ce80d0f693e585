"""Section 4.1: what the kernel is assumed to be."""

from __future__ import annotations

import numpy as np

from nlmodel.kernels import ExpDot, Gaussian
from nlmodel.normalization import normalize
from nlmodel.operators import NonlocalOperator
from nlmodel.testing import tolerance
from validation import Ledger, Section, at_least, at_most, canvas, claim
from validation.claims.shared import asymmetry, hollow, smallest_eigenvalue, symmetric_affinities
from validation.photograph import patches


SECTION = Section(
    "4.1",
    "The affinity kernel",
    r"The kernel matrix is assumed to be finite in the Frobenius norm (10), to have row sums $C_i = 1$ 'without loss of "
    r"generality' (11), to be symmetric and non-negative (12); embedded kernels are made symmetric by embedding both "
    r"arguments alike (13).",
)
SYMMETRIC, NONNEGATIVE = r"$\omega$ symmetric", r"$\omega \ge 0$"


def row_defect(K: np.ndarray) -> float:
    return float(np.max(np.abs(K.sum(axis=1) - 1)))


def imbalance(omega: np.ndarray, measure: np.ndarray | None = None) -> float:
    """|m_i K_ij - m_j K_ji| for the row-normalised kernel, m its own measure unless another is given."""
    op = NonlocalOperator.from_affinity(omega, "row")
    m = np.asarray(op.measure) if measure is None else measure
    return asymmetry(m[:, None] * op.averaging.to_dense())


@claim(
    "C6",
    section=SECTION,
    paper="Tao et al. 2018, Sec. 4.1, eqs (11)-(12)",
    title="Row sums one, without loss of generality",
    statement=r"""
        Without loss of generality $C_i(X) = 1$ for every $i$: dividing by the row sums leaves a kernel that is still
        symmetric and non-negative.
    """,
    formula=r"\sum_j \omega_{ij} = 1, \qquad \omega_{ij} = \omega_{ji} \ge 0",
    assumptions=(SYMMETRIC, NONNEGATIVE),
    proof=r"""
        Dividing by the row sums gives $K = D^{-1}\omega$ with
        $$K_{ij} - K_{ji} = \omega_{ij} \left( \frac{1}{C_i} - \frac{1}{C_j} \right),$$
        so $K$ is symmetric if and only if $C_i = C_j$ whenever $\omega_{ij} \neq 0$, that is if $C$ is constant on each
        connected component. (11) and (12) together say more than either: $K$ is symmetric and *doubly stochastic*.

        There are three honest ways on, and they are three different operators.

        *Row sums and the measure $C$.* $C_i K_{ij} = \omega_{ij} = C_j K_{ji}$: $K$ is self-adjoint in
        $\langle y, z \rangle_C = \sum_i C_i y_i z_i$ and is a reversible Markov chain with stationary law
        $\pi_i = C_i / \sum_k C_k$. It is similar to $D^{-1/2}\omega D^{-1/2}$, so its eigenvalues are real; they lie in
        $[-1, 1]$ because rows sum to one, and in $[0, 1]$ if $\omega$ is positive semidefinite (Sylvester).

        *The symmetric form* $D^{-1/2}\omega D^{-1/2}$ has the same eigenvalues but fixes $\sqrt{C}$ instead of the
        constants.

        *Sinkhorn.* $S = \operatorname{diag}(d)\,\omega\,\operatorname{diag}(d)$ with $d_i \sum_j \omega_{ij} d_j = 1$
        exists and is unique for symmetric positive $\omega$; it is symmetric and doubly stochastic, and as a congruence it
        keeps semidefiniteness. It forgets diagonal factors of $\omega$: since
        $e^{x \cdot y} = e^{|x|^2/2} e^{-|x-y|^2/2} e^{|y|^2/2}$, softmax attention and the Gaussian have one and the same
        Sinkhorn form.
    """,
)
def c6(ledger: Ledger) -> None:
    n = 12
    points = ledger.rng.standard_normal((n, 2))
    photo = patches(stride=ledger.size(40, 80))
    for words, X, kernel in (
        ("twelve normal points in the plane, Gaussian kernel", points, Gaussian(1.0)),
        (f"{len(photo)} patches of a photograph, Gaussian kernel", photo, Gaussian(7.0)),
    ):
        omega = kernel(X)
        K, S = normalize(omega, "row").K, normalize(omega, "sinkhorn").K
        tol = tolerance("reduction", n=len(X))
        ledger.witness(
            f"{words}: largest $|K_{{ij}} - K_{{ji}}|$ after dividing by the row sums",
            satisfies={SYMMETRIC: at_most(asymmetry(omega), 0.0), NONNEGATIVE: at_least(omega.min(), 0.0)},
            violates=at_most(asymmetry(K), tol),
            data={"X": X, "K": K, "column sums of K": K.sum(axis=0)},
            controls={"the same affinity, Sinkhorn-normalised": at_most(asymmetry(S), tol)},
        )
        if X is points:
            ledger.headline("symmetry defect of $K$, twelve points", asymmetry(K))
        _row_form(ledger, omega, K)
        _sinkhorn_form(ledger, omega, K, S)
    _which_matrices(ledger)
    _same_sinkhorn(ledger, points)
    columns = [normalize(Gaussian(7.0)(photo), how).K.sum(axis=0) for how in ("row", "symmetric", "sinkhorn")]
    ledger.figure(
        "columns",
        lambda: draw(columns),
        "Column sums of the three normalisations on the patches of the photograph, in increasing order. Only the Sinkhorn "
        "form is doubly stochastic.",
    )


def _row_form(ledger: Ledger, omega: np.ndarray, K: np.ndarray) -> None:
    row = ledger.instead(r"$D^{-1}\omega$ is self-adjoint in the measure $C_i$, with real eigenvalues in $[-1, 1]$")
    n = len(omega)
    root = np.sqrt(omega.sum(axis=1))
    by_hand = np.linalg.eigvalsh(omega / root[:, None] / root[None])
    found = np.linalg.eigvals(K)
    row.equals(
        f"eigenvalues of $K$ against those of $D^{{-1/2}} \\omega D^{{-1/2}}$ ($M = {n}$)",
        np.sort(found.real),
        by_hand,
        tolerance("solve", n=n, cond=float(root.max() / root.min())),
        controls={"eigenvalues of the affinity itself": np.sort(np.linalg.eigvals(omega).real)},
    )
    row.evidence(
        f"largest $|\\operatorname{{Im}} \\lambda|$ ($M = {n}$)",
        lambda values: float(np.max(np.abs(values.imag))),
        of=found,
        at_most=tolerance("solve", n=n, cond=float(root.max() / root.min())),
        controls={"a random row-stochastic matrix": np.linalg.eigvals(normalize(ledger.rng.random((n, n)), "row").K)},
    )


def _sinkhorn_form(ledger: Ledger, omega: np.ndarray, K: np.ndarray, S: np.ndarray) -> None:
    both = ledger.instead("The Sinkhorn form is symmetric and has row sums one, and stays positive semidefinite")
    n = len(omega)
    both.evidence(
        f"row defect and symmetry defect of $S$ together ($M = {n}$)",
        lambda A: max(row_defect(A), row_defect(A.T), asymmetry(A)),
        of=S,
        at_most=tolerance("solve", n=n),
        controls={
            "row normalisation": K,
            r"symmetric normalisation $D^{-1/2}\omega D^{-1/2}$": normalize(omega, "symmetric").K,
        },
    )
    both.evidence(
        f"smallest eigenvalue of $S$ for the Gaussian kernel ($M = {n}$)",
        lambda A: smallest_eigenvalue(normalize(A, "sinkhorn").K),
        of=omega,
        at_least=-tolerance("solve", n=n),
        controls={"the affinity without its diagonal": hollow(omega)},
    )


def _which_matrices(ledger: Ledger) -> None:
    """Detailed balance always; symmetry exactly when C is constant on components."""
    balance = ledger.instead(r"Detailed balance $C_i K_{ij} = C_j K_{ji}$ for every symmetric $\omega \ge 0$")
    balance.property(
        "largest $|m_i K_{ij} - m_j K_{ji}|$ in the measure of the operator",
        symmetric_affinities(),
        imbalance,
        at_most=tolerance("reduction", n=4, scale=2.0),
        controls={"in the counting measure": lambda omega: imbalance(omega, np.ones(len(omega)))},
    )
    components = ledger.instead(r"$D^{-1}\omega$ is symmetric if and only if $C$ is constant on connected components")
    triangle, square = np.ones((3, 3)), np.roll(np.eye(4), 1, 0) + np.roll(np.eye(4), -1, 0)
    path = np.diag(np.ones(3), 1) + np.diag(np.ones(3), -1)
    apart = np.block([[triangle, np.zeros((3, 4))], [np.zeros((4, 3)), square]])
    broken = np.block([[triangle, np.zeros((3, 4))], [np.zeros((4, 3)), path]])
    components.evidence(
        "symmetry defect on a triangle with loops ($C = 3$) beside a 4-cycle ($C = 2$)",
        lambda omega: asymmetry(normalize(omega, "row").K),
        of=apart,
        at_most=tolerance("elementwise"),
        controls={"4-cycle cut open, so that its degrees differ": broken},
    )


def _same_sinkhorn(ledger: Ledger, X: np.ndarray) -> None:
    same = ledger.instead(r"$e^{x \cdot y}$ and $e^{-|x-y|^2/2}$ have the same Sinkhorn form")
    tol = tolerance("solve", n=len(X), scale=1.0)
    exp_dot, gaussian = (kernel.log(X) for kernel in (ExpDot(), Gaussian()))
    same.equals(
        "Sinkhorn form of the softmax affinity against that of the Gaussian",
        normalize(exp_dot, "sinkhorn", log=True).K,
        normalize(gaussian, "sinkhorn", log=True).K,
        tol,
        controls={"row-normalised softmax affinity": normalize(exp_dot, "row", log=True).K},
    )
    sphere = X / np.linalg.norm(X, axis=1, keepdims=True)
    same.equals(
        "row forms of both on the unit circle, where they agree too",
        normalize(ExpDot()(sphere), "row").K,
        normalize(Gaussian()(sphere), "row").K,
        tol,
        controls={"softmax affinity of points off the circle": normalize(ExpDot()(X), "row").K},
    )


def draw(columns: list[np.ndarray]):
    figure, axes = canvas(height=2.4)
    for sums, words in zip(columns, (r"$D^{-1}\omega$", r"$D^{-1/2}\omega D^{-1/2}$", "Sinkhorn"), strict=True):
        axes.plot(np.sort(sums), label=words)
    axes.set(xlabel="column, by size", ylabel="column sum")
    axes.legend()
    return figure
