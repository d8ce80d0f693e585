"""Section 4.1: embedded kernels, made symmetric by embedding both arguments alike."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from nlmodel import NonlocalOperator, normalize
from nlmodel.errors import NormalizationError
from nlmodel.kernels import Concatenation, DotProduct, Embedded, ExpDot, Gaussian
from nlmodel.testing import tolerance
from validation import Ledger, at_least, at_most, claim
from validation.claims.kernel_assumptions import SECTION
from validation.claims.shared import asymmetry, hollow, matrices, smallest_eigenvalue
from validation.photograph import patches


THETA = r"the same linear $\theta$ on both arguments"


@claim(
    "C7",
    section=SECTION,
    paper="Tao et al. 2018, Sec. 4.1, eqs (12)-(13)",
    title="Embedding both arguments alike gives (12)",
    statement=r"""
        With $\omega_\theta(x, y) = \omega(\theta(x), \theta(y))$, $\theta$ linear, the embedded kernels satisfy the
        assumption that $\omega$ is symmetric and non-negative.
    """,
    formula=r"\omega_\theta(x, y) = \omega(\theta(x), \theta(y)), \qquad \omega_{ij} = \omega_{ji} \ge 0",
    assumptions=(THETA,),
    proof=r"""
        (13) passes on what $\omega$ has, and no more.

        *Dot product.* $\omega_\theta(x, y) = \theta x \cdot \theta y$ is symmetric and positive semidefinite, but
        $\omega_\theta(x, -x) = -|\theta x|^2 < 0$. With it the row sums $C_i = \theta x_i \cdot \sum_j \theta x_j$ may be
        negative, and vanish all at once for centred features, $\sum_j x_j = 0$: then (9) and (11) divide by zero. Remedies:
        divide by the number of positions, as Wang et al. do; or rectify, $\omega = (\theta x)_+ \cdot (\theta y)_+$, which is
        non-negative, though a row may still vanish.

        *Concatenation.* $\operatorname{ReLU}(a \cdot \theta x + b \cdot \theta y)$ is non-negative, but symmetric only for
        $a = b$ (put $y = 0$): one embedding on both sides does not suffice.

        *Gaussian and $e^{x \cdot y}$.* Symmetric and positive before the embedding, hence after it; semidefiniteness is
        inherited as well, strict definiteness only when $\theta$ is injective.
    """,
)
def c7(ledger: Ledger) -> None:
    rng = ledger.rng
    theta = rng.standard_normal((3, 6)) / np.sqrt(6)
    X = rng.standard_normal((10, 6))
    shared = {THETA: True}
    photo = patches(stride=80)
    embedding = rng.standard_normal((24, photo.shape[1])) / np.sqrt(photo.shape[1])

    def smallest(kernel, points=X) -> float:
        return float(kernel(points).min())

    dot, gaussian = Embedded(DotProduct(), theta), Embedded(Gaussian(), theta)
    ledger.witness(
        "embedded dot product, ten normal points: its smallest entry",
        satisfies=shared,
        violates=at_least(smallest(dot), 0.0),
        data={"X": X, "theta": theta},
        controls={"embedded Gaussian, same points": at_least(smallest(gaussian), 0.0)},
    )
    ledger.witness(
        f"embedded dot product, {len(photo)} patches of a photograph: its smallest entry",
        satisfies=shared,
        violates=at_least(smallest(Embedded(DotProduct(), embedding), photo), 0.0),
        data={"theta": embedding, "X": photo},
        controls={"embedded softmax kernel, same patches": at_least(_softmax_sign(embedding, photo), 0.0)},
    )
    a, b = rng.standard_normal((2, 3))
    ledger.witness(
        "embedded concatenation kernel: its symmetry defect",
        satisfies=shared,
        violates=at_most(asymmetry(Embedded(Concatenation(a, b), theta)(X)), 0.0),
        data={"X": X, "theta": theta, "a": a, "b": b},
        controls={"both halves equal, $a = b$": at_most(asymmetry(Embedded(Concatenation(a, a), theta)(X)), 0.0)},
    )
    _row_sums(ledger, dot, gaussian, X)
    _inherited(ledger)


def _softmax_sign(theta: np.ndarray, X: np.ndarray) -> float:
    """Smallest entry of the row-normalised softmax affinity, which exists even where exp(x.y) overflows."""
    return float(normalize(Embedded(ExpDot(), theta).log(X), "row", log=True).K.min())


def _row_sums(ledger: Ledger, dot: Embedded, gaussian: Embedded, X: np.ndarray) -> None:
    singular = ledger.instead("With the dot product (9) may divide by zero or by a negative number")
    centred = X - X.mean(axis=0)
    singular.evidence(
        "largest $|C_i|$ of the dot product on centred features",
        lambda kernel: float(np.max(np.abs(kernel(centred).sum(axis=1)))),
        of=dot,
        at_most=tolerance("reduction", n=len(X), scale=float(np.abs(dot(centred)).max())),
        controls={"Gaussian on the same features": gaussian},
    )

    def refused(kernel: Embedded) -> float:
        try:
            NonlocalOperator.from_points(X, kernel, "row")
        except NormalizationError:
            return 1.0
        return 0.0

    singular.evidence(
        "row normalisation of the dot product is refused",
        refused,
        of=dot,
        at_least=1.0,
        controls={"Gaussian on the same features": gaussian},
    )


def _inherited(ledger: Ledger) -> None:
    kept = ledger.instead(r"(13) gives (12) for the Gaussian and for $e^{x \cdot y}$, and passes on semidefiniteness")
    pairs = st.tuples(matrices(2, 2), matrices(3, 2))

    def affinity(kernel, pair, turn=None) -> np.ndarray:
        theta, X = pair
        return Embedded(kernel, theta, None if turn is None else turn @ theta)(X)

    def violation(kernel, turn=None):
        def measure(pair) -> float:
            omega = affinity(kernel, pair, turn)
            return max(asymmetry(omega), -float(omega.min()))

        return measure

    quarter_turn = np.array([[0.0, 1.0], [-1.0, 0.0]])

    for words, kernel in (("Gaussian", Gaussian()), ("softmax kernel", ExpDot())):
        kept.property(
            f"{words}: symmetry defect, or how far below zero an entry lies",
            pairs,
            violation(kernel),
            at_most=tolerance("elementwise", n=2, scale=float(np.exp(8.0))),
            controls={
                f"{words}, with $\\varphi$ turned against $\\theta$": violation(kernel, quarter_turn),
                "dot product in its place": violation(DotProduct()),
            },
        )
    kept.property(
        "smallest eigenvalue of the embedded dot product",
        pairs,
        lambda pair: smallest_eigenvalue(affinity(DotProduct(), pair)),
        at_least=-tolerance("solve", n=3, scale=24.0),
        controls={"without its diagonal": lambda pair: smallest_eigenvalue(hollow(affinity(DotProduct(), pair)))},
    )
