"""The CFL limits of the stage with W = mu I."""

from __future__ import annotations

import math
import re

from nlmodel.audit.measured import Measured
from nlmodel.audit.report import Fact, Finding, Section
from nlmodel.audit.words import number
from nlmodel.stability import StepBound, cfl_limit


ONE = 1 - 1e-9  # a limit that is 1 up to rounding allows the step 1
MEANINGS = {
    "spectral": "no mode grows in the long run",
    "energy": "no field grows, not even for one step, in the measure of $K$",
    "max": "values never leave the range of the data",
}


LETTERS = {r"\bmu\b": "μ", r"\btau\b": "τ", "<=": "≤", ">=": "≥", r"\^2": "²", r"\^H": "ᵀ", r"-(?=\d)": "−"}


def stability(x: Measured) -> tuple[Section, list[Finding]]:
    """The largest stable mu in three senses, each with its reason."""
    norms = ("spectral", "energy", "max") if x.op.reversible else ("spectral", "max")
    limits = {norm: cfl_limit(x.op, None, norm) for norm in norms}
    facts = tuple(
        Fact(f"cfl_{norm}", f"largest $\\mu$, {norm}", limit.value, f"{MEANINGS[norm]}: {reason(limit)}")
        for norm, limit in limits.items()
    )
    section = Section(
        "Stability: the CFL limits",
        "A sub-block is a step of forward Euler. With $W = \\mu I$ it is stable for $0 \\le \\mu \\le$ the "
        "limit; a negative or imaginary $\\mu$ is unstable however small.",
        facts,
        r"|1 - \mu s| \le 1 \ \text{ for all } s \quad \Longleftrightarrow \quad |\mu|^2 s_{\max} \le 2\, "
        r"\mathrm{Re}\, \mu",
    )
    return section, [_finding(x, limits)]


def _finding(x: Measured, limits: dict[str, StepBound]) -> Finding:
    spectral, maximum = limits["spectral"].value, limits["max"].value
    words = f"$0 \\le \\mu \\le {number(spectral)}$" if spectral < math.inf else "every $\\mu \\ge 0$"
    if spectral < ONE:
        return Finding(
            "act",
            f"The step $W = I$ is unstable here: the limit is {number(spectral)}.",
            "A mode is multiplied by more than 1 in absolute value at every sub-block and takes over.",
            _smaller(x, spectral, words),
        )
    if maximum == 0:
        return Finding(
            "watch",
            f"$W = \\mu I$ is stable for {words}, but no step keeps values within the range of the data.",
            "$K$ has negative entries, so that a step is no average; energies may still decrease.",
            "use a nonnegative affinity where the range matters.",
        )
    if maximum < ONE:
        return Finding(
            "watch",
            f"$W = \\mu I$ is stable for {words}, but values stay within the range of the data only up to "
            f"{number(maximum)}.",
            "Between the two limits the energy decreases, yet single positions may overshoot.",
            f"keep the eigenvalues of $W$ in [0, {number(maximum)}] where the range matters.",
        )
    return Finding(
        "good",
        f"A stage with $W = \\mu I$ is stable for {words}"
        + (
            f", and keeps values within the range of the data for $\\mu \\le {number(maximum)}$."
            if maximum < math.inf
            else "."
        ),
        "The paper's step $W = I$ is safe. A negative $\\mu$ is not, however small: every mode but the "
        "constants grows.",
        "keep the real parts of the eigenvalues of $W$ positive; check trained weights with `nlmodel audit "
        "--as weights`.",
    )


def _smaller(x: Measured, limit: float, words: str) -> str:
    """What to do when the step 1 is too large."""
    if limit == 0:
        return "mend the affinity first: no positive step is stable."
    scaled = f"scale the weights so that all eigenvalues $\\mu$ of $W$ satisfy {words}"
    if x.op.normalize == "none":
        return f"{scaled}, or use `--normalize row`, for which 1 is always safe."
    return f"{scaled}, or use a positive semidefinite affinity, for which 2 is always safe."


def reason(limit: StepBound) -> str:
    """Why a limit is what it is, in the report's letters."""
    text = limit.reason
    for name, letter in LETTERS.items():
        text = re.sub(name, letter, text)
    return text if limit.sharp else f"{text} (safe, not sharp)"
