"""The step limits of a weight for whole families of kernels."""

from __future__ import annotations

import numpy as np

from nlmodel.audit.report import Fact, Finding, Picture, Section
from nlmodel.audit.sections.stability import ONE, reason
from nlmodel.audit.weighed import Weighed
from nlmodel.audit.words import number
from nlmodel.operators import NonlocalOperator
from nlmodel.plot import cfl_disc
from nlmodel.stability import StepBound, cfl_limit, worst_case_limit


WORST = {"reversible": np.array([[0.0, 1.0], [1.0, 0.0]]), "psd": np.ones((2, 2))}
"""Two positions suffice for the worst kernel of a family: s = 2 by a zero diagonal, s = 1 by equal affinities."""

FAMILIES = {
    "markov": "any Markov kernel",
    "reversible": "any reversible kernel",
    "psd": "positive semidefinite affinity",
}


def weight_stability(x: Weighed) -> tuple[Section, list[Finding]]:
    """Largest factor on W that keeps every mode bounded, for every kernel of a family; energy and maximum principle."""
    limits = {family: worst_case_limit(x.matrix, family) for family in FAMILIES}
    original = worst_case_limit(-x.matrix, "psd")
    kernels = {family: NonlocalOperator.from_affinity(omega) for family, omega in WORST.items()}
    energies = {family: cfl_limit(op, x.matrix, "energy") for family, op in kernels.items()}
    rows = [(f"limit_{family}", f"no growth, {FAMILIES[family]}", limit) for family, limit in limits.items()]
    rows += [(f"energy_{family}", f"no transient, {FAMILIES[family]}", limit) for family, limit in energies.items()]
    rows += [("limit_original", "no growth in the original block $Z + K Z W^\\top$, the same affinity", original)]
    facts = tuple(Fact(key, label, limit.value, reason(limit)) for key, label, limit in rows)
    growing = int(np.sum(np.real(x.mu) < -8 * x.channels * x.unit * max(float(x.singular[0]), np.finfo(float).tiny)))
    discs = {"positive semidefinite": 1.0, "any reversible": 2.0}
    section = Section(
        "Stability for every kernel",
        "A sub-block multiplies by $1 - \\mu s$, with $s$ from the kernel. The table gives the largest "
        "factor on $W$ with which no kernel of a family makes any field grow: in the long run, or not even "
        "for one step. Positive semidefinite are the Gaussian and exp of products with one embedding.",
        facts,
        r"|1 - \mu s| \le 1 \quad \Longleftrightarrow \quad \left|\mu - \frac{1}{s_{\max}}\right| \le "
        r"\frac{1}{s_{\max}}",
        (
            Picture(
                "discs",
                "Eigenvalues $\\mu$ of $W$ and the discs in which no mode grows; those outside the larger "
                "disc grow for some positive semidefinite kernel.",
                lambda: cfl_disc(x.mu, discs),
            ),
        )
        if np.any(x.mu)
        else (),
    )
    return section, [_finding(limits, original, growing, x)]


def _finding(limits: dict[str, StepBound], original: StepBound, growing: int, x: Weighed) -> Finding:
    markov, psd = limits["markov"].value, limits["psd"].value
    if growing:
        worst = float(np.min(np.real(x.mu)))
        fits = (
            f" In the original block $W$ is stable up to a factor {number(original.value)}."
            if original.value > 0
            else ""
        )
        return Finding(
            "act",
            f"{growing} of {len(x.mu)} eigenvalues of $W$ have a negative real part (down to {number(worst)}).",
            "In the proposed stage those modes grow for every kernel and every scaling: small weights do "
            "not help." + fits,
            f"shift the weight, $W + c I$ with $c \\ge {number(-worst)}$, or tie it, $W = B B^\\top$ with "
            "$\\|B\\|^2 \\le 1$; then audit it again.",
        )
    if psd == 0:
        return Finding(
            "act",
            "$W$ has imaginary eigenvalues: no factor makes forward Euler stable.",
            "Such modes rotate, and every explicit step lengthens them.",
            "add a positive multiple of the identity, or use an implicit or exponential step.",
        )
    if psd < ONE:
        return Finding(
            "act",
            f"$W$ is too large: at most {number(psd)} of it is stable for every positive semidefinite kernel.",
            "Modes with large $s$ are multiplied by more than 1 in absolute value.",
            f"multiply $W$ by {number(psd)}, or split the sub-block into {int(np.ceil(1 / psd))} smaller steps.",
        )
    if limits["reversible"].value < ONE:
        return Finding(
            "watch",
            f"$W$ is stable for every positive semidefinite kernel (factor {number(psd)}), not for every "
            f"reversible one (factor {number(limits['reversible'].value)}).",
            "With a kernel that is not positive semidefinite, such as one without a diagonal, oscillating "
            "modes can grow.",
            "keep the Gaussian or exp of products with $\\theta = \\phi$, and keep the diagonal.",
        )
    if limits["reversible"].value == np.inf:
        return Finding(
            "watch" if np.any(x.matrix) else "good",
            "$W$ has no eigenvalue but 0: no mode grows exponentially, at any scale.",
            "Powers of a nonzero $W$ of this kind still grow like a polynomial for a while.",
        )
    return Finding(
        "good",
        "No mode of $W$ grows in the long run, for any reversible "
        f"kernel{' or any other Markov kernel' * (markov >= ONE)}.",
        f"It may even be multiplied by {number(limits['reversible'].value)}.",
    )
