"""Ours beside the paper's: intervals, verdicts per row and per statement; Markdown, LaTeX, CSV."""

from .formats import to_csv as to_csv
from .formats import to_latex as to_latex
from .formats import to_markdown as to_markdown
from .formats import to_terminal as to_terminal
from .table import Table as Table
from .table import build_table as build_table
