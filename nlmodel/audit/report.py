"""What an audit found, as data: facts, figures, and findings that say what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from matplotlib.figure import Figure


LEVELS = ("act", "watch", "good")


@dataclass(frozen=True)
class Fact:
    """One measured number: `key` for programs, `label` and `meaning` for readers ($LaTeX$ allowed)."""

    key: str
    label: str
    value: Any
    meaning: str = ""


@dataclass(frozen=True)
class Finding:
    """One sentence with its number, what follows from it, and what to do ("" when nothing is to be done)."""

    level: str
    headline: str
    consequence: str
    remedy: str = ""


@dataclass(frozen=True)
class Picture:
    """A figure that is drawn only when a page is made."""

    name: str
    caption: str
    draw: Callable[[], Figure] = field(repr=False)


@dataclass(frozen=True)
class Section:
    """A group of facts with its formula and figures."""

    title: str
    lead: str
    facts: tuple[Fact, ...]
    formula: str = ""
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True, repr=False)
class Audit:
    """The audit of one array: what was assumed about it, what was found, and every number behind it."""

    name: str
    kind: str
    subject: str
    assumed: tuple[str, ...]
    findings: tuple[Finding, ...]
    sections: tuple[Section, ...]

    def __repr__(self) -> str:
        count = Counter(f.level for f in self.findings)
        found = ", ".join(f"{count[level]} {level}" for level in LEVELS)
        return f"Audit({self.name!r}, kind={self.kind!r}, findings: {found})"

    @property
    def ordered(self) -> tuple[Finding, ...]:
        """The findings, the most urgent first."""
        return tuple(sorted(self.findings, key=lambda finding: LEVELS.index(finding.level)))

    def value(self, key: str) -> Any:
        """The value of the fact with this key; `KeyError` when there is none."""
        return {fact.key: fact.value for section in self.sections for fact in section.facts}[key]
