"""Audits as JSON: every number under a stable key."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nlmodel.audit.report import Audit
from nlmodel.audit.words import to_plain


def to_json(audits: Sequence[Audit], *, source: str, notes: Sequence[str], version: str) -> str:
    """Numbers as numbers; infinities and complex numbers, which JSON lacks, as strings."""
    record = {
        "nlmodel": version,
        "file": source,
        "notes": [to_plain(note) for note in notes],
        "audits": [
            {
                "name": audit.name,
                "kind": audit.kind,
                "subject": audit.subject,
                "assumed": [to_plain(line) for line in audit.assumed],
                "findings": [
                    {
                        "level": finding.level,
                        "headline": to_plain(finding.headline),
                        "consequence": to_plain(finding.consequence),
                        "remedy": to_plain(finding.remedy),
                    }
                    for finding in audit.ordered
                ],
                "facts": {fact.key: _value(fact.value) for section in audit.sections for fact in section.facts},
            }
            for audit in audits
        ],
    }
    return json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _value(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, complex) or (isinstance(value, float) and not math.isfinite(value)):
        return str(value)
    return value
