"""What a claim writes down: evidence, controls, witnesses, a headline, figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from validation.outcome import Outcome


STATED, UNDER, INSTEAD, CONTROL = "stated", "under", "instead", "control"
NOISE = 1e-9  # how far a headline may move where rounding decides, as for one that is 0


@dataclass(frozen=True)
class Evidence:
    """A check that must pass, in the scope where it counts."""

    name: str
    outcome: Outcome
    scope: str
    scope_text: str = ""
    note: str = ""
    excused: bool = False

    @property
    def ok(self) -> bool:
        """Passed, or a stated hunt whose counterexample became a witness."""
        return self.outcome.passed or self.excused


@dataclass(frozen=True)
class Control:
    """A wrong twin: through the same check it must fail (or, for a witness, must keep the promise).

    `of` names the evidence or the witness whose check it is, `at` is its place in the record; empty and None for a
    control on its own.
    """

    name: str
    outcome: Outcome
    of: str = ""
    at: int | None = None
    must: str = "fail"

    @property
    def ok(self) -> bool:
        return self.outcome.failed if self.must == "fail" else self.outcome.passed


@dataclass(frozen=True)
class Witness:
    """A concrete object that satisfies the stated assumptions and violates the statement."""

    name: str
    satisfies: Mapping[str, Outcome]
    violates: Outcome
    data: Mapping[str, Any]
    note: str = ""

    def objections(self, assumptions: tuple[str, ...]) -> list[str]:
        """Why this is no witness; empty when it is one."""
        missing = [f"does not show the assumption {name!r}" for name in assumptions if name not in self.satisfies]
        broken = [f"does not satisfy {name!r}" for name, outcome in self.satisfies.items() if not outcome.passed]
        return missing + broken + ([] if self.violates.failed else ["does not violate the statement"])


@dataclass(frozen=True)
class Headline:
    """The one number of a claim, and how far it may move before a run differs from the pinned one."""

    label: str
    value: float
    rel: float = 1e-6
    absolute: float = NOISE


@dataclass(frozen=True)
class Drawing:
    """A figure that is made when the report is."""

    name: str
    make: Callable[[], Any]
    caption: str


@dataclass
class Record:
    """All that one run of a claim wrote down, in order."""

    evidence: list[Evidence] = field(default_factory=list)
    controls: list[Control] = field(default_factory=list)
    witnesses: list[Witness] = field(default_factory=list)
    figures: list[Drawing] = field(default_factory=list)
    headline: Headline | None = None
    size_dependent: bool = False
