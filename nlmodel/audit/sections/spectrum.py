"""The spectrum of K: what is kept, what is forgotten, and how wide the averages are."""

from __future__ import annotations

import numpy as np

from nlmodel.audit.measured import Measured
from nlmodel.audit.report import Fact, Finding, Picture, Section
from nlmodel.audit.sections.width import neighbours, width
from nlmodel.audit.words import number, percent
from nlmodel.plot import mode_damping, spectrum_of


BLOCKS = 5
STABLE = 2 + 1e-9  # of s: beyond, a step with W = I is unstable and what it leaves means nothing


def spectrum(x: Measured) -> tuple[Section, list[Finding]]:
    """Ends of the spectrum, gap, width of the averages; with features, what a stage leaves of them."""
    s, listen = x.s, neighbours(x.K)
    facts = [
        Fact(
            "lambda_2",
            "second largest eigenvalue $\\lambda_2$",
            _plain(1 - s[1]) if _unit_exit(x) else None,
            "the slowest mode is multiplied by this",
        ),
        Fact("gap", "spectral gap: second smallest $s$", _plain(s[1]), "rate at which the slowest mode dies"),
        Fact("s_max", "largest $s_{\\max}$ of $-L$", float(np.max(np.real(s))), "decides the step limit"),
        Fact(
            "lambda_min",
            "smallest eigenvalue $\\lambda_{\\min}$ of $K$",
            float(1 - np.max(np.real(s))) if _unit_exit(x) else None,
            "$1 - s_{\\max}$; below 0 a mode oscillates",
        ),
        Fact(
            "largest_imaginary",
            "largest imaginary part",
            float(np.max(np.abs(np.imag(s)))),
            "0 for a reversible affinity",
        ),
        Fact(
            "neighbours",
            "positions that the median position listens to",
            float(np.median(listen)),
            f"exp of the entropy of its row; of {x.size:,} positions",
        ),
        Fact(
            "self_weight",
            "median weight $K_{ii}$ of a position in its own average",
            float(np.median(np.diag(x.K))),
            "near 1 a block changes nothing",
        ),
        Fact("components", "connected components", x.components, "constants on each are steady"),
    ]
    findings = [width(x)]
    pictures = [
        Picture(
            "spectrum",
            "Eigenvalues of $K$ in order: how fast the modes of this affinity fade.",
            lambda: spectrum_of(1 - s if _unit_exit(x) else s, label=_name(x)),
        )
    ]
    if x.features is not None and x.op.reversible and "constants" in x.op.keeps and np.max(s) <= STABLE:
        left = remaining(x, 1.0, BLOCKS)
        half = step_that_keeps(x, 0.5, BLOCKS)
        facts += [
            Fact(
                "variance_left",
                f"variance of the features left after {BLOCKS} sub-blocks, $W = I$",
                left,
                "in the measure of $K$",
            ),
            Fact("step_for_half", f"$\\mu$ for which {BLOCKS} sub-blocks keep half of it", half, "$W = \\mu I$"),
        ]
        findings.append(smoothing(left, half))
        if _unit_exit(x):
            pictures.append(
                Picture(
                    "damping",
                    f"Above: what {BLOCKS} blocks do to each mode. Below: share of the squared norm of "
                    "this data in each mode. The original block removes what is smooth, the proposed one "
                    "what oscillates.",
                    lambda: mode_damping(0.5, 1 - s, x.shares, blocks=BLOCKS),
                )
            )
    section = Section(
        "Spectrum",
        "Each mode of $K$ is multiplied by $1 - \\mu s$ in a sub-block with $W = \\mu I$; $s = 0$ is kept, "
        "large $s$ fades.",
        tuple(facts),
        r"K v = \lambda v, \qquad s = 1 - \lambda, \qquad v \mapsto (1 - \mu s)\, v"
        if _unit_exit(x)
        else r"-L v = s v, \qquad v \mapsto (1 - \mu s)\, v",
        tuple(pictures),
    )
    return section, findings


def remaining(x: Measured, mu: float, blocks: int) -> float:
    """Share of the variance of the features that `blocks` sub-blocks with W = mu I leave, exactly, mode by mode."""
    moving = x.s > 0
    total = float(np.sum(x.shares[moving]))
    left = float(np.sum(x.shares[moving] * (1 - mu * x.s[moving]) ** (2 * blocks)))
    return left / total if total else 1.0


def step_that_keeps(x: Measured, share: float, blocks: int) -> float | None:
    """The mu in (0, 1/s_max] that leaves this share, by bisection; None when all of them leave more."""
    low, high = 0.0, 1 / max(float(x.s[-1]), np.finfo(float).tiny)
    if remaining(x, high, blocks) > share:
        return None
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if remaining(x, middle, blocks) > share else (low, middle)
    return high


def smoothing(left: float, half: float | None) -> Finding:
    """What a short stage does to the data at hand."""
    advice = "use fewer sub-blocks"
    if half is not None:
        advice = f"keep $\\mu$ near {number(half)}, which leaves half of the variance, or {advice}"
    if left < 0.1:
        return Finding(
            "watch",
            f"{BLOCKS} sub-blocks with $W = I$ leave {percent(left)} of the variance of these features.",
            "A stage of full steps smooths this data away: positions become hard to tell apart.",
            f"{advice}.",
        )
    return Finding(
        "good",
        f"{BLOCKS} sub-blocks with $W = I$ leave {percent(left)} of the variance of these features.",
        "A stage of full steps keeps enough contrast to be useful.",
    )


def _unit_exit(x: Measured) -> bool:
    return x.op.normalize != "none"


def _name(x: Measured) -> str:
    return r"eigenvalue $\lambda$ of $K$" if _unit_exit(x) else r"eigenvalue $s$ of $-L$"


def _plain(value: complex | float) -> float | complex:
    value = complex(value)
    return value.real if value.imag == 0 else value
