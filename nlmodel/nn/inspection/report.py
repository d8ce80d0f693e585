"""The audit of a network as one value: an audit a layer, one through depth, and what could not be analysed."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from nlmodel.audit import Audit
from nlmodel.audit.page import render
from nlmodel.audit.record import to_json
from nlmodel.audit.store import write
from nlmodel.audit.terminal import print_audits


if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class AuditReport:
    """What was found in a network.

    Attributes
    ----------
    name : of the network.
    layers : the `Audit` of each layer, by the name of its module.
    verdicts : one word a layer: "healthy", "mixed", "damping", "amplifying", "transient", "unstable", "undecided" or
        "idle".
    depth : the `Audit` of all layers together.
    notes : what could not be analysed, and why.
    """

    name: str
    layers: Mapping[str, Audit]
    verdicts: Mapping[str, str]
    depth: Audit
    notes: tuple[str, ...]
    _figures: Mapping[str, Callable[[], Figure]] = field(repr=False, default_factory=dict)

    def __repr__(self) -> str:
        lines = [f"AuditReport({self.name}, {len(self.layers)} layers)"]
        lines += [f"  {name}: {self.verdicts[name]}" for name in self.layers]
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])

    def figures(self) -> dict[str, Figure]:
        """One matplotlib figure a layer."""
        return {name: draw() for name, draw in self._figures.items()}

    def to_text(self) -> str:
        """Findings and numbers as plain text."""
        stream = io.StringIO()
        print_audits(self._audits, self.name, self.notes, stream)
        return stream.getvalue()

    def to_json(self) -> str:
        """Every number under a stable key."""
        return to_json(self._audits, source=self.name, notes=self.notes, version=version("nlmodel"))

    def to_html(self) -> str:
        """One self-contained page with figures."""
        return render(self._audits, source=self.name, notes=self.notes, version=version("nlmodel"))

    def save(self, path: str | Path) -> None:
        """Write the page, or the record where the name ends in .json; whole or not at all."""
        path = Path(path)
        write(path, self.to_json() if path.suffix == ".json" else self.to_html())

    @property
    def _audits(self) -> list[Audit]:
        return [self.depth, *self.layers.values()]
