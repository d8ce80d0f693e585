"""The paper's assumptions (10)-(13) on the affinity, and by how much they hold."""

from __future__ import annotations

import numpy as np

from nlmodel.assumptions import check_assumptions
from nlmodel.audit.measured import Measured
from nlmodel.audit.report import Fact, Finding, Picture, Section
from nlmodel.audit.words import number
from nlmodel.plot import affinity_map


def assumptions(x: Measured) -> tuple[Section, list[Finding]]:
    """Signs, symmetry, definiteness, row sums and norms of omega, and what normalisation does to the symmetry."""
    found = check_assumptions(x.omega)
    degree = np.asarray(x.op.degree)
    spread = float(np.max(degree) / np.min(degree)) if np.min(degree) > 0 else np.inf
    size = float(np.max(np.abs(x.K)))
    defect = float(np.max(np.abs(x.K - x.K.T))) / size
    sums = np.sum(x.K, axis=0)
    facts = (
        Fact(
            "symmetry_defect",
            "symmetry defect of $\\omega$",
            found.symmetry_defect,
            "(12): largest $|\\omega_{ij} - \\omega_{ji}|$ over the largest entry",
        ),
        Fact("smallest_entry", "smallest $\\omega_{ij}$", found.smallest_entry, "(12) asks for no negative entry"),
        Fact(
            "smallest_eigenvalue",
            "smallest eigenvalue of $\\omega$",
            found.smallest_eigenvalue,
            "not below 0: normalised, the modes of $K$ lie in $[0, 1]$",
        ),
        Fact(
            "degree_spread",
            "largest over smallest row sum $C_i$",
            spread,
            "1 would make (11) and (12) hold together for $K$",
        ),
        Fact("K_symmetry_defect", "symmetry defect of $K$", defect, "after normalisation, over its largest entry"),
        Fact(
            "column_sums",
            "column sums of $K$",
            f"{number(sums.min())} to {number(sums.max())}",
            "all 1: the plain mean is conserved",
        ),
        Fact(
            "hilbert_schmidt",
            "Hilbert-Schmidt norm, cells of $1/M$",
            found.hilbert_schmidt,
            "(10): says something only if it stays bounded as $M$ grows",
        ),
        Fact(
            "sup_row_sum",
            "largest row sum, cells of $1/M$",
            found.sup_row_sum,
            "bounded as $M$ grows: the flow is well posed both ways",
        ),
    )
    section = Section(
        "Assumptions (10) to (13)",
        "What the paper asks of the affinity, measured on this data.",
        facts,
        r"\sum_{ij} |\omega_{ij}|^2 < \infty, \qquad C_i = \sum_j \omega_{ij} = 1, \qquad \omega_{ij} = "
        r"\omega_{ji} \ge 0",
        (
            Picture(
                "affinity",
                "The averaging matrix $K$: row $i$ says where position $i$ gets its features from.",
                lambda: affinity_map(x.K),
            ),
        ),
    )
    return section, [_basic(found), _together(x, defect, spread)]


def _basic(found) -> Finding:
    broken = []
    if not found.symmetric:
        broken.append(f"it is not symmetric (defect {number(found.symmetry_defect)})")
    if not found.nonnegative:
        broken.append(f"it has negative entries (down to {number(found.smallest_entry)})")
    if broken:
        return Finding(
            "act",
            f"The affinity breaks assumption (12): {' and '.join(broken)}.",
            "Without symmetry eigenvalues may be complex and no energy is known to decrease; with negative "
            "entries a step is no average, and values may leave the range of the data.",
            "use one embedding for both arguments ($\\theta = \\phi$, eq. (13)) or $(\\omega + "
            "\\omega^\\top)/2$; for signs take a Gaussian or exp of the scalar product, or ReLU features.",
        )
    if not found.positive_semidefinite:
        return Finding(
            "watch",
            "The affinity is symmetric and nonnegative, but not positive semidefinite: smallest eigenvalue "
            f"{number(found.smallest_eigenvalue)}.",
            "Modes of $K$ below 0 change sign at every step, and the step limit falls from 2 or more towards 1.",
            "keep the eigenvalues of $W$ below the limit in the stability section, or use a positive definite kernel.",
        )
    return Finding(
        "good",
        "The affinity is symmetric, nonnegative and positive semidefinite, as (12) and (13) ask.",
        "The spectrum is real, an energy decreases, and normalised by rows all modes of $K$ lie in $[0, 1]$.",
    )


def _together(x: Measured, defect: float, spread: float) -> Finding:
    if defect <= 64 * x.size * x.op.eps:
        if "constants" in x.op.keeps and x.op.normalize != "none":
            return Finding(
                "good",
                "$K$ is symmetric with unit rows: (11) and (12) hold together.",
                "$K$ is doubly stochastic; the plain mean of every channel is conserved.",
            )
        return Finding(
            "watch",
            "$K$ is symmetric, but its rows do not sum to 1.",
            "(12) holds and (11) does not: "
            + (
                "exit rates differ between positions."
                if x.op.normalize == "none"
                else "constants are not steady, $\\sqrt{C}$ is."
            ),
            "use `--normalize sinkhorn` to get both.",
        )
    varying = spread > 1 + 1e-9
    cause = f"row sums differ by a factor {number(spread)}" if varying else "the affinity is not symmetric"
    return Finding(
        "watch",
        f"(11) and (12) do not hold together: {cause}, and $K$ has a symmetry defect of {number(defect)}.",
        "Unit rows cost the symmetry. What the paper derives from a symmetric $K$ holds in the inner "
        "product weighted by $C_i$ only: the mean that is conserved is the $C$-weighted one."
        if x.op.reversible
        else "No inner product is known in which $K$ is symmetric.",
        "read energies and means in that inner product (op.inner, op.mean), or use `--normalize sinkhorn`, "
        "which makes $K$ symmetric and keeps unit rows."
        if x.op.reversible
        else "make $\\omega$ symmetric first.",
    )
