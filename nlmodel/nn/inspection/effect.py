"""What a layer does to the modes of its affinity, and the word for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmodel.audit.report import Fact, Finding, Section
from nlmodel.audit.weighed import Weighed
from nlmodel.audit.words import number
from nlmodel.nn.inspection.layer import Inspected
from nlmodel.nn.inspection.leaning import Leaning, leaning
from nlmodel.nn.spectral import SpectralNonlocalBlock
from nlmodel.stability import Certificate


ROUNDING = 1e-6  # of factors that should not exceed one: weights are known to single precision


@dataclass(frozen=True)
class Effect:
    """The verdict on a layer.

    "healthy", "transient", "unstable" or, its affinity unknown, "undecided" of a difference form; "damping",
    "amplifying", "mixed", "unstable" or "idle" of a sum.
    """

    verdict: str
    leanings: tuple[Leaning, ...]
    factors: np.ndarray | None


def effect(layer: Inspected) -> Effect:
    """The certificate decides about a difference form; the lean of the weights and the factors about a sum.

    Z + (K - I) Z W^T: factors 1 - s mu                               Z + K Z W^T: factors 1 + lambda mu
    """
    leanings = tuple(leaning(x) for x in layer.weighed)
    factors = _factors(layer)
    if layer.certificate is not None:
        words = {"unstable": "unstable", "transient_growth": "transient"}
        return Effect(words.get(layer.certificate.verdict, "healthy"), leanings, factors)
    if layer.difference:
        return Effect("undecided", leanings, factors)
    kinds = {lean.word for lean in leanings} - {"zero"}
    word = "idle" if not kinds else kinds.pop() if len(kinds) == 1 else "mixed"
    beyond = np.empty(0) if factors is None else np.abs(factors[np.real(factors) < 0])
    overshoots = word == "damping" and np.max(beyond, initial=0.0) > 1 + ROUNDING
    return Effect("unstable" if overshoots else word, leanings, factors)


def _factors(layer: Inspected) -> np.ndarray | None:
    """By which modes are multiplied, for one head and one weight; several do not share their modes."""
    several = len(layer.chains) != 1 or len(layer.weighed) != 1
    more = isinstance(layer.module, SpectralNonlocalBlock) or getattr(layer.module, "recurrence", 1) > 1
    if several or more or layer.difference:
        return None
    x = layer.weighed[0]
    mu = x.mu if len(x.mu) == x.channels else np.append(x.mu, 0.0)  # a bottleneck leaves modes as they are
    return 1 + np.outer(layer.chains[0].eigenvalues, mu).ravel()


def effect_section(layer: Inspected, found: Effect) -> tuple[Section, list[Finding]]:
    """Factors, margins, abscissae and lean, and the finding that names the verdict."""
    facts = [
        Fact("verdict", "verdict", found.verdict),
        Fact(
            "form",
            "form",
            "difference" if layer.difference else "sum",
            "$Z + h (K - I) Z W^\\top$" if layer.difference else "$Z + K Z W^\\top$",
        ),
        *_lean_facts(found.leanings),
        *_abscissae(layer),
    ]
    if found.factors is not None:
        facts.append(
            Fact(
                "radius",
                "largest $|1 + \\lambda \\mu|$",
                float(np.max(np.abs(found.factors))),
                "repeated, a mode grows when this is above 1",
            )
        )
    if layer.certificate is not None:
        facts += _certified(layer.certificate)
    section = Section(
        "What the layer does",
        "A mode of the affinity with eigenvalue $\\lambda = 1 - s$ and a mode of the weight with eigenvalue $\\mu$ are "
        "multiplied by one factor; norms, ReLUs and biases outside the layer are not part of it.",
        tuple(facts),
        r"Z + K Z W^\top: \ 1 + \lambda \mu, \qquad Z + h (K - I) Z W^\top: \ 1 - h s \mu",
    )
    return section, [_finding(found, layer)]


def _lean_facts(leanings: tuple[Leaning, ...]) -> list[Fact]:
    scores = [lean.z for lean in leanings if lean.z is not None]
    return [
        Fact(
            "balance",
            "balance of $\\tilde{W}$, -1 negative to 1 positive",
            float(np.mean([lean.balance for lean in leanings])),
            "by sizes; mean over heads or sub-blocks" if len(leanings) > 1 else "by sizes of its eigenvalues",
        ),
        Fact(
            "sign_z_score",
            "z-score of the negative signs",
            float(np.mean(scores)) if scores else None,
            "against weights that have learned nothing",
        ),
    ]


def _abscissae(layer: Inspected) -> list[Fact]:
    """Of the weight that drives growth, W in a sum and -W in a difference: the largest over heads or sub-blocks."""
    drives, sign = ("-W", -1) if layer.difference else ("W", 1)
    spectral = max(_largest(sign * np.real(x.mu), x) for x in layer.weighed)
    numerical = max(_largest(sign * x.symmetric, x) for x in layer.weighed)
    return [
        Fact(
            "spectral_abscissa",
            f"spectral abscissa of ${drives}$",
            spectral,
            "largest real part of its eigenvalues: growth in the long run",
        ),
        Fact(
            "numerical_abscissa",
            f"numerical abscissa of ${drives}$",
            numerical,
            "largest eigenvalue of its symmetric part: growth at first; the gap between both is transient",
        ),
    ]


def _largest(values: np.ndarray, x: Weighed) -> float:
    """Of real parts of eigenvalues, of which a bottleneck has zeros beside those listed; 0 where rounding made it."""
    largest = float(np.max(values, initial=0.0 if len(values) < x.channels else -np.inf))
    return 0.0 if abs(largest) <= 8 * x.channels * x.unit * np.max(np.abs(x.symmetric)) else largest


def _certified(found: Certificate) -> list[Fact]:
    spectral = [block.spectral.value for block in found.blocks]
    maximum = [block.maximum.value for block in found.blocks]
    facts = [
        Fact("stage_norm", f"{found.measure} norm of one pass", found.norm, "above 1: some field grows"),
        Fact("stage_radius", "spectral radius of the stage", found.radius, "above 1: grows when repeated"),
        Fact("transient", "largest norm within the stage", found.transient),
        Fact("cfl_margin", "CFL margin, spectral", min(spectral), "the smallest of the sub-blocks; below 1: unstable"),
        Fact("cfl_margin_max", "CFL margin, maximum principle", min(maximum), "below 1: values may leave their range"),
    ]
    energies = [block.energy.value for block in found.blocks if block.energy is not None]
    if energies:
        facts.insert(4, Fact("cfl_margin_energy", "CFL margin, energy", min(energies), "below 1: a field may grow"))
    return facts


def _finding(found: Effect, layer: Inspected) -> Finding:
    largest = None if found.factors is None else float(np.max(np.abs(found.factors)))
    if layer.certificate is not None:
        return _of_stage(found.verdict, layer.certificate)
    if found.verdict == "undecided":
        return Finding(
            "watch",
            "Undecided: the affinity on this sample is not known, and with it no limit of the step.",
            "Nothing is said of stability; only the weights were audited.",
            "see the notes, or ask nlmodel.nn.worst_case for a limit that holds for every affinity.",
        )
    if found.verdict == "unstable":
        return Finding(
            "act",
            f"Unstable: the weight damps beyond zero, a mode is multiplied by {number(largest)} in absolute value.",
            "The sign of that mode flips at every block and its size grows.",
            "scale the weight down until the largest factor is 1, or split the block into smaller steps.",
        )
    if found.verdict == "damping":
        grows = largest is not None and largest > 1 + ROUNDING
        besides = f"; modes with negative or complex $\\lambda$ grow, by up to {number(largest)}" if grows else ""
        return Finding(
            "watch",
            "Damping: negative eigenvalues of $\\tilde{W}$ lead, and the block takes away what its average "
            f"shows{besides}.",
            "Smooth features fade most, at every such block again; several in a row leave little of them.",
            "use few such blocks, or the difference form with a tied weight, which keeps constants.",
        )
    if found.verdict == "amplifying":
        size = "" if largest is None else f", by up to {number(largest)}"
        return Finding(
            "watch",
            f"Amplifying: positive eigenvalues of $\\tilde{{W}}$ lead, and the block adds to its average{size}.",
            "Smooth features grow at every such block; without a norm layer several in a row grow exponentially.",
            "keep a norm layer behind the block, or use the difference form.",
        )
    if found.verdict == "idle":
        return Finding("watch", "Idle: the weight is zero.", "The layer is the identity.", "train it, or leave it out.")
    return Finding(
        "good",
        "Mixed: neither sign leads; the layer amplifies some channels and damps others.",
        "Nothing is said of stability by signs alone, and nothing is wrong.",
    )


def _of_stage(verdict: str, certificate: Certificate) -> Finding:
    margin = min(block.spectral.value for block in certificate.blocks)
    if verdict == "unstable":
        return Finding(
            "act",
            f"Unstable: repeated, the stage multiplies a mode by {number(certificate.radius)} a pass.",
            f"A sub-block is stable only with {number(margin)} of its weight, or the product of stable ones is not.",
            "train it with nlmodel.nn.certified or cfl_penalty, or scale its weights down to the margin.",
        )
    if verdict == "transient":
        return Finding(
            "watch",
            f"Transient growth: one pass can multiply a field by {number(certificate.norm)}, though no mode grows.",
            "A network passes each stage once: the transient is what it sees.",
            "tie the weights, $W = B B^\\top$, so that norms and eigenvalues agree.",
        )
    return Finding(
        "good",
        f"Healthy: the stage is {certificate.verdict}, with a margin of {number(margin)} to its step limit.",
        "Constants are kept, oscillations fade, and small changes of the input stay small.",
    )
