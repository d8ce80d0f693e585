"""Audit of any trained network: which of its layers average over positions, and what each does to its features."""

from .audit import audit as audit
from .report import AuditReport as AuditReport
