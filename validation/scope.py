"""The kinds of evidence, recorded in the scope where they count."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from validation import checks
from validation.hunt import hunt
from validation.outcome import Measure, Outcome, close, ranged
from validation.record import CONTROL, STATED, Control, Evidence


if TYPE_CHECKING:
    from validation.ledger import Ledger


EXAMPLES, QUICK_EXAMPLES = 200, 40


class Scope:
    """The kinds of evidence, recorded where they count; calling the scope is `evidence`."""

    def __init__(self, ledger: Ledger, kind: str, text: str = ""):
        self.ledger, self.kind, self.text = ledger, kind, text

    def __call__(self, name: str, value: Any, **options: Any) -> None:
        self.evidence(name, value, **options)

    def evidence(
        self,
        name: str,
        value: Any,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
        of: Any = None,
        controls: Mapping[str, Any] | None = None,
        note: str = "",
    ) -> None:
        """`value`, or the measure `value(of)`, lies in the range; each control, measured alike, does not."""

        def judge(subject: Any) -> Outcome:
            return ranged(value(subject) if callable(value) else subject, at_least, at_most)

        self._record(name, judge, of if callable(value) else value, controls, note)

    def equals(
        self,
        name: str,
        actual: Any,
        oracle: Any,
        tol: float,
        *,
        controls: Mapping[str, Any] | None = None,
        note: str = "",
    ) -> None:
        """`actual` agrees with `oracle` in shape, and in every entry to the absolute tolerance `tol`."""
        self._record(name, lambda subject: close(subject, oracle, tol), actual, controls, note)

    def order(
        self,
        name: str,
        steps: Any,
        errors: Any,
        expected: float,
        *,
        controls: Mapping[str, Any] | None = None,
        note: str = "",
    ) -> None:
        """errors ~ steps^expected over at least four refinements."""
        self._record(name, lambda subject: checks.order(steps, subject, expected), errors, controls, note)

    def identity(
        self,
        name: str,
        lhs: Any,
        rhs: Any,
        *,
        domain: Mapping[Any, tuple[float, float]] | None = None,
        simplify: Callable[[Any], Any] | None = None,
        controls: Mapping[str, Any] | None = None,
        note: str = "",
    ) -> None:
        """lhs = rhs, symbolically and at random points."""
        check = partial(checks.identity, domain=domain, simplify=simplify, seed=self.ledger.claim.seed)
        self._record(name, lambda subject: check(subject, rhs), lhs, controls, note)

    def statistic(
        self,
        name: str,
        sample: Any,
        expected: Any,
        *,
        confidence: float = 0.999,
        controls: Mapping[str, Any] | None = None,
        note: str = "",
    ) -> None:
        """`expected` lies in the confidence interval of the mean of `sample` over axis 0."""
        self._record(name, lambda subject: checks.statistic(subject, expected, confidence), sample, controls, note)

    def property(
        self,
        name: str,
        strategy: Any,
        defect: Measure,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
        assuming: Mapping[str, Callable[[Any], Outcome | bool]] | None = None,
        examples: int = EXAMPLES,
        controls: Mapping[str, Measure] | None = None,
        note: str = "",
    ) -> None:
        """No example of `strategy` has a defect outside the range.

        As stated, a counterexample becomes a witness, which must satisfy each condition in `assuming`.
        """
        ledger = self.ledger
        count = ledger.size(examples, min(examples, QUICK_EXAMPLES))
        judge = partial(ranged, lowest=at_least, highest=at_most)
        seek = partial(hunt, strategy, judge=judge, examples=count, seed=ledger.claim.seed)
        found = seek(defect)
        excused = False
        if self.kind == STATED and not found.outcome.passed:
            conditions = {key: condition(found.counterexample) for key, condition in (assuming or {}).items()}
            ledger.witness(
                f"counterexample to: {name}",
                satisfies=conditions,
                violates=found.outcome,
                data={"example": found.counterexample},
            )
            excused = not ledger.record.witnesses[-1].objections(ledger.claim.assumptions)
        self._write(name, found.outcome, note, excused)
        for words, twin in (controls or {}).items():
            self._control(words, seek(twin, shrink=False).outcome, name)

    def _record(
        self,
        name: str,
        judge: Callable[[Any], Outcome],
        subject: Any,
        controls: Mapping[str, Any] | None,
        note: str,
    ) -> None:
        self._write(name, judge(subject), note)
        for words, twin in (controls or {}).items():
            self._control(words, judge(twin), name)

    def _write(self, name: str, outcome: Outcome, note: str, excused: bool = False) -> None:
        record = self.ledger.record
        if self.kind == CONTROL:
            record.controls.append(Control(name, outcome))
        else:
            record.evidence.append(Evidence(name, outcome, self.kind, self.text, note, excused))

    def _control(self, words: str, outcome: Outcome, name: str) -> None:
        record = self.ledger.record
        at = None if self.kind == CONTROL else len(record.evidence) - 1
        record.controls.append(Control(words, outcome, name, at))
