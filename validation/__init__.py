"""The theory, checked: every claim of the paper with evidence, witnesses and controls that must fail."""

from validation.figures import canvas
from validation.ledger import Ledger
from validation.outcome import Outcome, at_least, at_most, close, within
from validation.registry import Claim, Section, claim


__all__ = ["Claim", "Ledger", "Outcome", "Section", "at_least", "at_most", "canvas", "claim", "close", "within"]
