"""Prose with $LaTeX$ in it: MathML for the page, Unicode for the terminal; and numbers as words."""

from __future__ import annotations

import html
import math
import re
from typing import Any

import numpy as np

from nlmodel.audit.packages import require


SYMBOLS = {
    r"\lambda": "λ",
    r"\mu": "μ",
    r"\omega": "ω",
    r"\pi": "π",
    r"\sigma": "σ",
    r"\tau": "τ",
    r"\alpha": "α",
    r"\le": "≤",
    r"\ge": "≥",
    r"\ne": "≠",
    r"\ll": "≪",
    r"\approx": "≈",
    r"\infty": "∞",
    r"\to": "→",
    r"\lVert": "‖",
    r"\rVert": "‖",
    r"\|": "‖",
    r"\cdot": "·",
    r"\times": "×",
    r"\top": "ᵀ",
    r"\sum": "Σ",
    r"\exp": "exp",
    r"\mapsto": "↦",
    r"\phi": "φ",
    r"\theta": "θ",
    r"\quad": "  ",
    r"\max": "max",
    r"\min": "min",
    r"\log": "log",
    r"\,": " ",
    r"\;": " ",
    r"\ ": " ",
    r"\in": "∈",
    r"\pm": "±",
    r"\rho": "ρ",
    r"\tilde{W}": "W̃",
    r"\ldots": "…",
    r"\mathrm{Re}": "Re",
    r"\not": "not ",
    r"\sqrt": "√",
}
LONGEST = 10**7  # whole numbers from here on are rounded like others
RAISED = str.maketrans("0123456789+-nkTH", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿᵏᵀᴴ")


def to_plain(text: str) -> str:
    """Prose for a terminal."""
    return re.sub(r"\$([^$]+)\$", lambda found: _unicode(found[1]), text).replace("`", "")


def to_html(text: str) -> str:
    """Escaped prose with its `code` marked and its formulas in MathML."""
    parts = re.split(r"(\$[^$]+\$|`[^`]+`)", text)
    return "".join(_markup(part) for part in parts)


def _markup(part: str) -> str:
    if part.startswith("$"):
        return mathml(part[1:-1])
    return f"<code>{html.escape(part[1:-1])}</code>" if part.startswith("`") else html.escape(part)


def literal(name: str) -> str:
    """A name from a file as prose: what would start a formula or code is replaced by its look-alike."""
    return name.replace("$", "\N{FULLWIDTH DOLLAR SIGN}").replace("`", "'")


def mathml(latex: str, *, display: bool = False) -> str:
    """A formula in MathML."""
    return require("latex2mathml.converter").convert(latex, display="block" if display else "inline")


def number(value: Any) -> str:
    """A value in four significant digits, or as a word."""
    if value is None:
        return "unknown"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return f"{int(value):,}" if abs(value) < LONGEST else _decimal(float(value))
    if isinstance(value, (float, np.floating)):
        return _decimal(float(value))
    if isinstance(value, (complex, np.complexfloating)):
        real, imaginary = float(np.real(value)), float(np.imag(value))
        return f"{_decimal(real)} {'−' if imaginary < 0 else '+'} {_decimal(abs(imaginary))}i"
    return str(value)


def _decimal(value: float) -> str:
    if not math.isfinite(value):
        return {math.inf: "∞", -math.inf: "−∞"}.get(value, "undefined")
    mantissa, _, exponent = f"{value:.4g}".replace("-", "−").partition("e")
    if not exponent:
        return mantissa
    power = str(int(exponent.replace("−", "-"))).translate(RAISED)
    return f"{mantissa} × 10{power}"


def percent(share: float) -> str:
    """A share as a percentage that does not pretend to be 0 or 100."""
    if 0 < share < 1e-4:
        return "less than 0.01 %"
    if 0.9999 < share < 1:
        return "more than 99.99 %"
    return f"{100 * share:.3g} %"


def _unicode(latex: str) -> str:
    text = latex
    for command in sorted(SYMBOLS, key=len, reverse=True):
        text = text.replace(command, SYMBOLS[command])
    text = re.sub(r"\\(?:mathrm|operatorname|text){([^}]*)}", r"\1", text)
    text = re.sub(r"\^ᵀ|\^{ᵀ}", "ᵀ", text)
    text = re.sub(r"\^{([0-9+nkTH-]+)}|\^([0-9nkTH])", lambda m: (m[1] or m[2]).translate(RAISED), text)
    text = re.sub(r"_{([^}]*)}", lambda m: "_" + m[1].strip(), text)
    return re.sub(r"\s+", " ", text.replace("{", "").replace("}", "")).strip()
