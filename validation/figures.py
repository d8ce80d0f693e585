"""Figures for the report: one style, drawn without pyplot, as SVG that follows the page and as PNG."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from validation.record import Drawing


if TYPE_CHECKING:
    from matplotlib.figure import Figure


WIDTH, HEIGHT = 5.5, 2.9
INK = "#1b1b1b"
MAX_SVG = 250_000


@dataclass(frozen=True)
class Picture:
    """A finished figure: markup for the page, bytes for a file."""

    name: str
    caption: str
    markup: str
    png: bytes


@contextmanager
def style() -> Iterator[None]:
    """The style of the project's figures, for the time of the context."""
    from matplotlib import style as styles

    with resources.as_file(resources.files("nlmodel") / "paper.mplstyle") as path, styles.context(path):
        yield


def canvas(rows: int = 1, columns: int = 1, *, width: float = WIDTH, height: float = HEIGHT) -> tuple[Figure, Any]:
    """A `Figure` and its `Axes` (an array of them for several panels), in the style of the report."""
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(width, height))
        return figure, figure.subplots(rows, columns)


def develop(drawing: Drawing, prefix: str) -> Picture:
    """Make the figure, and write it as SVG (as PNG when it has too many marks) with identifiers of its own."""
    with style():
        figure = drawing.make()
        png, svg = io.BytesIO(), io.StringIO()
        figure.savefig(png, format="png", dpi=200, facecolor="white", metadata={"Software": None})
        figure.savefig(svg, format="svg", transparent=True, metadata={"Date": None})
    markup = _inline(svg.getvalue(), f"{prefix}-{drawing.name}")
    if len(markup) > MAX_SVG:
        code = base64.b64encode(png.getvalue()).decode()
        markup = f'<img alt="" src="data:image/png;base64,{code}">'
    return Picture(drawing.name, drawing.caption, markup, png.getvalue())


def _inline(svg: str, prefix: str) -> str:
    """SVG for the inside of an HTML page: no prologue, no remarks, ink in the colour of the text, unique ids."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg, count=4)
    svg = re.sub(r'<svg ([^>]*?)width="[^"]*" height="[^"]*"', r"<svg \1", svg, count=1)
    svg = re.sub(r'xlink:href="#', 'href="#', svg)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\g<1>"', svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\g<1>{prefix}-", svg)
    return svg.replace(INK, "currentColor")
