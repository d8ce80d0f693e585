"""The paper's numbers beside which a preset is set."""

from __future__ import annotations

from paper_repro.presets import printed_errors


TABLE_OF = {"mini": "table1", "short": "table1"}


def printed(preset: str) -> dict[str, float]:
    """Errors in percent that the paper prints for the rows of a preset; those of Table 1 for its smaller versions."""
    return printed_errors(TABLE_OF.get(preset, preset))
