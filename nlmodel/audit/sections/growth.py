"""How fields grow under W: in the long run, at once, and in between."""

from __future__ import annotations

import math

import numpy as np

from nlmodel.audit.report import Fact, Finding, Section
from nlmodel.audit.weighed import Weighed
from nlmodel.audit.words import number
from nlmodel.spectrum import kreiss_constant


LARGEST_KREISS = 128  # channels: its level sets need eigenvalues of twice that size, many times


def growth(x: Weighed) -> tuple[Section, list[Finding]]:
    """Eigenvalues of W, the numerical and the spectral end of its damping, and the Kreiss constant of I - W."""
    slowest, weakest = float(np.min(np.real(x.mu))), float(x.symmetric[0])
    radius = float(np.max(np.abs(np.linalg.eigvals(np.eye(x.channels) - x.matrix))))
    kreiss = kreiss_constant(np.eye(x.channels) - x.matrix).value if x.channels <= LARGEST_KREISS else None
    scale = float(x.singular[0]) or 1.0
    departure = float(np.linalg.norm(x.matrix @ x.matrix.T - x.matrix.T @ x.matrix)) / scale**2
    facts = (
        Fact("norm", "$\\|W\\|$", float(x.singular[0]), "largest singular value"),
        Fact("spectral_radius", "spectral radius of $W$", float(np.max(np.abs(x.mu), initial=0.0)), "largest $|\\mu|$"),
        Fact("smallest_real_part", "smallest real part of $\\mu$", slowest, "below 0: a mode grows in the long run"),
        Fact("smallest_symmetric", "smallest eigenvalue of $\\tilde{W}$", weakest, "below 0: some field grows at once"),
        Fact(
            "nonnormality",
            "departure from normality",
            departure,
            "$\\|W W^\\top - W^\\top W\\|_F / \\|W\\|^2$; 0: no transients",
        ),
        Fact("radius", "spectral radius of $I - W$", radius, "at $s = 1$; above 1: powers grow without bound"),
        Fact(
            "kreiss",
            "Kreiss constant of $I - W$",
            kreiss,
            "largest transient of its powers, up to a factor $e\\, C$"
            if kreiss is not None
            else f"not computed above {LARGEST_KREISS} channels",
        ),
    )
    section = Section(
        "Growth",
        "The eigenvalues of $W$ decide about the long run, those of $\\tilde{W}$ about the first instant; "
        "for a $W$ that is not normal the two can disagree, and the Kreiss constant bounds what happens "
        "between.",
        facts,
        r"\max_i \mathrm{Re}\,(-\mu_i) \ \le\ \lambda_{\max}(-\tilde{W}), \qquad \mathcal{K}(G) \le \sup_n "
        r"\|G^n\| \le e\, C\, \mathcal{K}(G), \quad G = I - W",
    )
    return section, _transient(slowest, weakest, kreiss, radius)


def _transient(slowest: float, weakest: float, kreiss: float | None, radius: float) -> list[Finding]:
    if kreiss is None or not math.isfinite(kreiss) or radius > 1:
        return []
    if kreiss > 2:
        return [
            Finding(
                "watch",
                "Transients: powers of $I - W$ decay in the end, but first reach at least "
                f"{number(kreiss)} times their start.",
                f"$W$ is far from normal: its eigenvalues (real part at least {number(slowest)}) promise "
                f"damping, $\\tilde{{W}}$ (down to {number(weakest)}) does not.",
                "in a network of a few sub-blocks the transient is all there is: penalise $\\|W W^\\top - "
                "W^\\top W\\|$, or tie $W$.",
            )
        ]
    return [
        Finding(
            "good",
            f"No large transient: the Kreiss constant of $I - W$ is {number(kreiss)}.",
            "What the eigenvalues promise holds from the first step on.",
        )
    ]
