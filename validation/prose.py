"""Prose with $latex$ in it: to HTML with MathML, or to plain text."""

from __future__ import annotations

import re
from html import escape

from validation.mathml import mathml


CODE = re.compile(r"`([^`]+)`")
OPEN, CLOSE = "\ue000", "\ue001"  # around the number of a piece that is set already
FORMULA = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$", re.DOTALL)


def inline(text: str) -> str:
    """One line of prose as HTML: $latex$, *emphasis*, `code`, everything else escaped."""
    kept: list[str] = []

    def keep(markup: str) -> str:
        kept.append(markup)
        return f"{OPEN}{len(kept) - 1}{CLOSE}"

    text = CODE.sub(lambda m: keep(f"<code>{escape(m[1])}</code>"), text)
    text = FORMULA.sub(lambda m: keep(mathml(m[1] or m[2], display=bool(m[1]))), text)
    return re.sub(f"{OPEN}(\\d+){CLOSE}", lambda m: kept[int(m[1])], _set(text))


def paragraphs(text: str) -> str:
    """Prose as HTML paragraphs, separated by blank lines."""
    blocks = (block.strip() for block in re.split(r"\n\s*\n", text))
    return "\n".join(f"<p>{inline(block)}</p>" for block in blocks if block)


def plain(text: str) -> str:
    """Prose without markup, for terminals and tables in plain text."""
    text = re.sub(r"\\t?frac\s*(\d)\s*(\d)", r"\1/\2", text)
    text = re.sub(r"\\(?:widehat|hat)\s*\{?(?:\\mathcal)?\s*\{?(\w)\}*", r"\1^", text)
    text = re.sub(r"\\(?:widetilde|widehat|tilde)\s*\{?(\w)\}?", r"\1~", text)
    text = re.sub(r"\\(?:mathrm|mathcal|operatorname|text|mathbf)\s*\{([^}]*)\}", r"\1", text)
    for name, sign in SIGNS.items():
        text = re.sub(rf"\\{name}(?![A-Za-z])", sign, text)
    text = re.sub(r"\\[,;!]|\\quad|\\ ", " ", text).replace("\\", "")
    return " ".join(re.sub(r"[$`]|[{}]|(?<!\w)\*(?=\w)|(?<=\w)\*(?!\w)", "", text).split())


SIGNS = {
    "omega": "ω", "lambda": "λ", "mu": "μ", "rho": "ρ", "sigma": "σ", "delta": "δ", "Delta": "Δ", "varepsilon": "ε",
    "epsilon": "ε", "pi": "π", "theta": "θ", "phi": "φ", "alpha": "α", "beta": "β", "gamma": "γ", "tau": "τ", "xi": "ξ",
    "le": "≤ ", "leq": "≤ ", "ge": "≥ ", "geq": "≥ ", "ne": "≠ ", "neq": "≠ ", "in": "∈ ", "infty": "∞", "sum": "Σ",
    "int": "∫", "iint": "∬", "to": "→ ", "cdot": "· ", "times": "×", "top": "ᵀ", "partial": "∂", "lVert": "‖",
    "rVert": "‖", "langle": "⟨", "rangle": "⟩", "dots": "…", "ldots": "…", "min": "min ", "max": "max ", "sup": "sup ",
    "approx": "≈ ", "sim": "∼ ", "pm": "±", "Re": "Re ",
}  # fmt: skip


def _set(text: str) -> str:
    """Emphasis, curly quotation marks and apostrophes, a dash in ranges such as 1-4 and (11)-(12)."""
    text = re.sub(r"(?<=\d)-(?=\d)|(?<=\))-(?=\()", "–", text)
    text = re.sub(r"(?<![\w.,;:)])\"", "“", text).replace('"', "”")
    text = re.sub(r"(?<![\w.,;:)])'", "‘", text).replace("'", "’")
    return re.sub(r"(?<!\w)\*([^*\s](?:[^*]*[^*\s])?)\*(?!\w)", r"<em>\1</em>", escape(text))
