"""How soon the chain forgets where it started."""

from __future__ import annotations

import math

import numpy as np

from nlmodel.audit.measured import Measured
from nlmodel.audit.report import Fact, Finding
from nlmodel.audit.words import number
from nlmodel.errors import ConvergenceError
from nlmodel.markov import mixing_time, mixing_time_bounds, period, second_eigenvalue_modulus


SLOW = 100  # steps: more than any stage has sub-blocks


def mixing(x: Measured, P: np.ndarray) -> tuple[list[Fact], list[Finding]]:
    """Period, mixing time and its bounds, of a chain with one recurrent class."""
    cycle = period(P)
    if cycle > 1:
        return [Fact("period", "period", cycle, "the chain returns to a position at multiples of this only")], [
            Finding(
                "act",
                f"The chain has period {cycle}: it never mixes.",
                "Modes with $|\\lambda| = 1$ besides the constants turn at every application of $K$ and never fade.",
                "keep the diagonal of $\\omega$, or use $\\mu < 1$ (the lazy chain).",
            )
        ]
    steps = _steps(P)
    facts = [Fact("mixing_time", "mixing time", steps, "steps until the worst start is within 1/4 of $\\pi$")]
    if x.op.reversible:
        bounds = mixing_time_bounds(P)
        interval = f"{number(bounds.lower)} to {number(bounds.upper)}"
        facts += [
            Fact("relaxation_time", "relaxation time", bounds.relaxation_time, "1 / (1 - largest other $|\\lambda|$)"),
            Fact("mixing_bounds", "its bounds of the mixing time", interval, "upper: with the smallest $\\pi_i$"),
        ]
    else:
        modulus = second_eigenvalue_modulus(P)
        facts.append(Fact("second_modulus", "second largest $|\\lambda|$", modulus, "asymptotic rate"))
    return facts, _findings(steps)


def _steps(P: np.ndarray) -> float:
    """The mixing time; infinite where the chain falls apart to rounding."""
    try:
        return mixing_time(P)
    except ConvergenceError:
        return math.inf


def _findings(steps: float) -> list[Finding]:
    if steps > SLOW:
        slow = f"Mixing is slow: {number(steps)} applications of $K$ until the worst start is forgotten."
        return [
            Finding(
                "watch",
                slow if steps < math.inf else "The chain does not mix: to rounding it falls apart.",
                "There are nearly closed groups of positions; a few blocks exchange features within them only.",
                "enlarge the bandwidth for global context; for segmentation this is what you want.",
            )
        ]
    if steps <= 1:
        return []  # the width of the averages has said it
    return [
        Finding(
            "good",
            f"Any start is forgotten after {number(steps)} applications of $K$ (within 1/4 in total variation).",
            "A stage of a few sub-blocks reaches the whole image or sequence.",
        )
    ]
