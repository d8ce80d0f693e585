"""The report of an experiment: table, figures and what they say, on one page."""

from .page import render as render
