"""From what was written down to a verdict, mechanically."""

from __future__ import annotations

import math

from validation.record import INSTEAD, NOISE, STATED, UNDER, Headline, Record


CONFIRMED, REFUTED, CONDITIONAL, BROKEN = "confirmed", "refuted", "conditional", "broken"
VERDICTS = (CONFIRMED, CONDITIONAL, REFUTED, BROKEN)


def judge(record: Record, assumptions: tuple[str, ...]) -> tuple[str, list[str]]:
    """The verdict on a record, and the reasons when it is `broken`.

    confirmed     the evidence as stated passes, and there is no witness against the claim
    refuted       a witness satisfies every stated assumption and violates the statement
    conditional   the same, and the evidence under a named extra assumption passes
    broken        anything else: the check itself is at fault
    """
    reasons = list(_faults(record, assumptions))
    if reasons:
        return BROKEN, reasons
    if not record.witnesses:
        return CONFIRMED, []
    return (CONDITIONAL if any(e.scope == UNDER for e in record.evidence) else REFUTED), []


def _faults(record: Record, assumptions: tuple[str, ...]):
    if not record.controls:
        yield "no control: nothing shows that the check can fail"
    for control in record.controls:
        if not control.ok:
            silent = "fail" if control.must == "fail" else "keep the promise"
            yield f"control {control.name!r} did not {silent}: {control.outcome.measured:.6g}, {control.outcome.range}"
    for evidence in record.evidence:
        if not evidence.ok:
            outcome = evidence.outcome
            yield f"evidence {evidence.name!r} failed: {outcome.measured:.6g}, not {outcome.range}"
    for witness in record.witnesses:
        for objection in witness.objections(assumptions):
            yield f"witness {witness.name!r} {objection}"
    if not record.witnesses:
        scopes = {evidence.scope for evidence in record.evidence}
        if scopes & {UNDER, INSTEAD}:
            yield "evidence for another statement, but no witness against the claim as stated"
        if STATED not in scopes:
            yield "neither evidence as stated nor a witness"


def headline(record: Record) -> Headline | None:
    """The chosen headline; otherwise the violation of the first witness; otherwise the first evidence.

    A number that is bounded from above only, such as a rounding error, is free to move below its bound.
    """
    if record.headline:
        return record.headline
    if record.witnesses:
        first = record.witnesses[0]
        return Headline(first.name, first.violates.measured)
    if not record.evidence:
        return None
    first = record.evidence[0]
    free = first.outcome.kind in ("bound", "oracle", "identity", "property") and first.outcome.low == -math.inf
    return Headline(first.name, first.outcome.measured, absolute=max(first.outcome.high, NOISE) if free else NOISE)
