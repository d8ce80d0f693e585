"""An audit as one HTML page that needs nothing else: styles inline, figures as SVG, formulas as MathML."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Sequence
from importlib import resources
from typing import TYPE_CHECKING

from nlmodel.audit.packages import require
from nlmodel.audit.report import Audit
from nlmodel.audit.words import mathml, number, to_html
from nlmodel.plot.sheet import INK


if TYPE_CHECKING:
    from matplotlib.figure import Figure


def render(audits: Sequence[Audit], *, source: str, notes: Sequence[str], version: str) -> str:
    """The page as a string."""
    require("matplotlib")
    environment = require("jinja2").Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=require("jinja2").StrictUndefined
    )
    safe = require("markupsafe").Markup
    serial = iter(range(10**6))
    environment.filters |= {
        "prose": lambda text: safe(to_html(text)),
        "formula": lambda latex: safe(mathml(latex, display=True)),
        "number": number,
        "drawn": lambda picture: safe(svg(picture.draw(), f"f{next(serial)}")),
        "summary": summary,
    }
    template = resources.files("nlmodel.audit").joinpath("page.html.j2").read_text(encoding="utf-8")
    return environment.from_string(template).render(audits=audits, source=source, notes=notes, version=version)


def summary(audit: Audit) -> str:
    """How many findings there are of each kind, in words."""
    count = Counter(finding.level for finding in audit.findings)
    parts = [(count["act"], "to act on"), (count["watch"], "to watch"), (count["good"], "in order")]
    return ", ".join(f"{n} {words}" for n, words in parts if n) + "."


def svg(figure: Figure, prefix: str) -> str:
    """The figure as SVG for the inside of a page: ink in the colour of the text, identifiers of its own."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r"<svg ([^>]*?)>", r'<svg role="img" \1>', drawing, count=1)
    drawing = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', drawing)
    drawing = re.sub(r'(url\(#|href="#)', rf"\1{prefix}-", drawing)
    return drawing.replace(INK, "currentColor")
