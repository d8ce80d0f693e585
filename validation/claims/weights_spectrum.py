"""Section 3.1: the spectrum of the weight matrix of a block."""

from __future__ import annotations

from typing import Any

import numpy as np

from nlmodel.testing import tolerance
from validation import Ledger, Section, at_least, at_most, canvas, claim
from validation.figures import INK


SECTION = Section(
    "3.1",
    "Spectrum of the weights",
    r"A nonlocal block multiplies features by $W = W_Z W_g$, with $W_g \in \mathbb{R}^{r \times C}$ and "
    r"$W_Z \in \mathbb{R}^{C \times r}$; in the experiments $C = 64$ and $r = 32$. The paper reads "
    r"the behaviour of the block off the eigenvalues of the symmetric part $\widetilde{W} = \tfrac12 (W + W^\top)$.",
)
C, R = 64, 32
FACTORS = r"$W$ is the product of a $64 \times 32$ and a $32 \times 64$ matrix"


def bottleneck(rng: np.random.Generator, channels: int = C, rank: int = R) -> tuple[np.ndarray, np.ndarray]:
    """(W_Z, W_g) with independent normal entries, scaled so that W has norm about one."""
    W_Z = rng.standard_normal((channels, rank)) / np.sqrt(channels)
    W_g = rng.standard_normal((rank, channels)) / np.sqrt(channels)
    return W_Z, W_g


def nonzero_spectrum(A: np.ndarray, rank: int = R) -> np.ndarray:
    """The `rank` eigenvalues of largest magnitude."""
    values = np.linalg.eigvals(A)
    return values[np.argsort(-np.abs(values))[:rank]]


def hausdorff(a: np.ndarray, b: np.ndarray) -> float:
    """Largest distance from a point of one set to the other set."""
    gaps = np.abs(a[:, None] - b[None, :])
    return float(max(gaps.min(axis=0).max(), gaps.min(axis=1).max()))


def inertia(A: np.ndarray) -> np.ndarray:
    """Numbers of positive, negative and zero eigenvalues of the symmetric part."""
    values = np.linalg.eigvalsh((A + A.T) / 2)
    zero = np.abs(values) <= tolerance("solve", n=len(A), scale=float(np.abs(values).max()))
    return np.array([np.sum((values > 0) & ~zero), np.sum((values < 0) & ~zero), np.sum(zero)], dtype=float)


@claim(
    "C1",
    section=SECTION,
    paper="Tao et al. 2018, Sec. 3.1, before eq. (7)",
    title=r"$W$ is sparse and has 32 eigenvalues",
    statement="The weight matrix $W$ is sparse and has only 32 eigenvalues.",
    formula=r"W = W_Z W_g, \qquad W_Z \in \mathbb{R}^{64 \times 32}, \quad W_g \in \mathbb{R}^{32 \times 64}",
    assumptions=(FACTORS,),
    proof=r"""
        $W$ is dense and of low rank. It has 64 eigenvalues with multiplicity, of which at least 32 vanish, because
        $\operatorname{rank} W \le 32$.

        The others are those of a small matrix: for $W_Z \in \mathbb{R}^{C \times r}$ and
        $W_g \in \mathbb{R}^{r \times C}$ Sylvester's determinant identity gives
        $$\det(\lambda I_C - W_Z W_g) = \lambda^{C-r} \det(\lambda I_r - W_g W_Z),$$
        so that $W_Z W_g$ and $W_g W_Z$ have the same non-zero eigenvalues with the same multiplicities. What the
        paper means is: $W$ has *rank* at most 32.
    """,
)
def c1(ledger: Ledger) -> None:
    W_Z, W_g = bottleneck(ledger.rng)
    W = W_Z @ W_g
    density = np.count_nonzero(W) / W.size
    diagonal = np.diag(np.arange(1.0, 1 + C) * (np.arange(C) < R))
    ledger.witness(
        "random bottleneck with normal entries: the fraction of entries that do not vanish",
        satisfies={FACTORS: W_Z.shape == W_g.T.shape == (C, R)},
        violates=at_most(density, 0.5),
        data={"W_Z": W_Z, "W_g": W_g, "number of eigenvalues": C, "rank": np.linalg.matrix_rank(W)},
        controls={"diagonal matrix of rank 32, which is sparse": at_most(np.count_nonzero(diagonal) / C**2, 0.5)},
    )

    low_rank = ledger.instead("$W$ has rank at most 32; its non-zero eigenvalues are those of $W_g W_Z$")
    spectrum = np.linalg.svd(W, compute_uv=False)
    low_rank.evidence(
        r"33rd singular value of $W$",
        lambda values: values[R],
        of=spectrum,
        at_most=tolerance("solve", n=C, scale=spectrum[0]),
        controls={"square normal matrix of full rank": np.linalg.svd(ledger.rng.standard_normal((C, C)))[1]},
    )
    values, vectors = np.linalg.eig(W_g @ W_Z)
    low_rank.evidence(
        "Hausdorff distance between the 32 largest eigenvalues of $W$ and those of $W_g W_Z$",
        lambda other: hausdorff(nonzero_spectrum(W), other),
        of=values,
        at_most=tolerance("solve", n=R, scale=spectrum[0], cond=float(np.linalg.cond(vectors))),
        controls={"$W_g W_Z$ with one of the 64 channels left out": np.linalg.eigvals(W_g[:, 1:] @ W_Z[1:])},
        note="Tolerance after Bauer and Fike: the condition of the eigenvectors times rounding.",
    )
    t, Z, g = symbols()
    wrong = g.copy()
    wrong[0, 0] = -g[0, 0]
    low_rank.identity(
        r"$\det(\lambda I_3 - W_Z W_g) = \lambda \det(\lambda I_2 - W_g W_Z)$, with $W_Z$ of size $3 \times 2$",
        characteristic(t, Z * g),
        t * characteristic(t, g * Z),
        controls={"one entry of $W_g$ with the wrong sign": characteristic(t, Z * wrong)},
    )


def symbols() -> tuple[Any, Any, Any]:
    """lambda, a 3 x 2 matrix and a 2 x 3 matrix of symbols."""
    import sympy

    entries = sympy.symbols("z:6"), sympy.symbols("g:6")
    return sympy.Symbol("lambda"), sympy.Matrix(3, 2, entries[0]), sympy.Matrix(2, 3, entries[1])


def characteristic(t: Any, A: Any) -> Any:
    """det(t I - A)."""
    import sympy

    return (t * sympy.eye(A.rows) - A).det()


@claim(
    "C2",
    section=SECTION,
    paper="Tao et al. 2018, Sec. 3.1, eq. (7), Figs 1-4",
    title=r"The eigenvalues of $\widetilde{W}$ have mostly one sign",
    statement=r"Most eigenvalues of $\widetilde{W}$ are negative (original blocks), or positive (proposed blocks).",
    formula=r"\widetilde{W} = \frac{W + W^\top}{2}",
    assumptions=(FACTORS,),
    proof=r"""
        Let $P = [\, W_Z, \; W_g^\top ] \in \mathbb{R}^{C \times 2r}$. Then
        $$2 \widetilde{W} = W_Z W_g + W_g^\top W_Z^\top = P J P^\top, \qquad
          J = \begin{pmatrix} 0 & I_r \\ I_r & 0 \end{pmatrix},$$
        and $J$ has the eigenvalues $1$ and $-1$, each $r$ times. If $P$ has rank $2r$, which is generic when
        $2r \le C$, Sylvester's law of inertia applies: $\widetilde{W}$ has *exactly* $r$ positive, $r$ negative and
        $C - 2r$ zero eigenvalues. With $C = 64$ and $r = 32$ every such $W$ has 32 positive and 32 negative ones,
        trained or not.

        What can have mostly one sign are the 32 eigenvalues of largest *magnitude*, which is what the figures of the
        paper show. With $W_g = -0.7 W_Z^\top$ plus noise all of them are negative, and 32 small positive ones remain.
        $\widetilde{W} \ge 0$ needs dependent columns, for example tied weights $W_g = W_Z^\top$.
    """,
)
def c2(ledger: Ledger) -> None:
    W_Z, noise = bottleneck(ledger.rng)
    W_g = -0.7 * W_Z.T + 0.1 * noise
    values = np.linalg.eigvalsh((W_Z @ W_g + W_g.T @ W_Z.T) / 2)
    top = values[np.argsort(-np.abs(values))[:R]]
    tied = inertia(-W_Z @ W_Z.T)
    ledger.witness(
        "nearly tied weights of negative sign: the larger share of one sign among the eigenvalues",
        satisfies={FACTORS: W_Z.shape == W_g.T.shape == (C, R)},
        violates=at_least(max(np.mean(values > 0), np.mean(values < 0)), 0.55),
        data={
            "W_Z": W_Z,
            "W_g": W_g,
            "positive": np.sum(values > 0),
            "negative": np.sum(values < 0),
            "negative among the 32 of largest magnitude": np.sum(top < 0),
        },
        controls={"exactly tied weights $W_g = -W_Z^\\top$, of one sign": at_least(tied[1] / tied[:2].sum(), 0.55)},
    )
    ledger.headline("positive eigenvalues of $\\widetilde{W}$, of 64", np.sum(values > 0))

    theorem = ledger.instead("$r$ positive, $r$ negative and $C - 2r$ zero eigenvalues when $P$ has full rank")
    for channels, rank in ((64, 32), (64, 20), (10, 3)):
        A, B = bottleneck(ledger.rng, channels, rank)
        theorem.equals(
            f"inertia of a random bottleneck, $C = {channels}$, $r = {rank}$",
            inertia(A @ B),
            np.array([rank, rank, channels - 2 * rank], dtype=float),
            tolerance("exact"),
            controls={f"tied weights $W_g = W_Z^\\top$, $C = {channels}$": inertia(A @ A.T)},
        )
    theorem.evidence("negative share of the 32 largest magnitudes", np.mean(top < 0), at_least=1.0)
    generic = np.linalg.eigvalsh(sum_of(ledger.rng))
    ledger.figure(
        "inertia",
        lambda: draw(values, generic),
        r"All 64 eigenvalues of $\widetilde{W}$, in order. Left: independent normal factors. Right: nearly tied "
        r"factors of negative sign. Both are split 32 to 32; only the sizes differ.",
    )


def sum_of(rng: np.random.Generator) -> np.ndarray:
    """Symmetric part of a bottleneck with independent normal factors."""
    W_Z, W_g = bottleneck(rng)
    return (W_Z @ W_g + W_g.T @ W_Z.T) / 2


def draw(tied: np.ndarray, generic: np.ndarray):
    figure, panels = canvas(1, 2, height=2.4)
    for axes, values, title in zip(panels, (generic, tied), ("independent", "nearly tied, negative"), strict=True):
        k = np.arange(1, 1 + len(values))
        axes.axhline(0, color=INK, linewidth=0.5)
        axes.axvline(R + 0.5, color=INK, linewidth=0.5, linestyle=":")
        axes.plot(k[values < 0], values[values < 0], "o", color="C1", label="negative")
        axes.plot(k[values > 0], values[values > 0], "o", color="C0", label="positive")
        axes.set(xlabel="$k$", title=title, xticks=[1, 32, 64])
    panels[0].set_ylabel(r"$\lambda_k(\widetilde{W})$")
    panels[0].legend()
    return figure
