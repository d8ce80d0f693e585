"""Figures 1 to 4 of the paper from the logs, with what chance gives drawn in, and the training curves."""

from .curves import training_curves as training_curves
from .history import sign_history as sign_history
from .outcomes import outcomes as outcomes
from .panels import Panel as Panel
from .panels import eigenvalue_panels as eigenvalue_panels
from .panels import sign_counts as sign_counts
from .paper import Picture as Picture
from .paper import pictures as pictures
from .runs import Run as Run
from .runs import load_runs as load_runs
from .save import save as save
from .signs import null_of as null_of
from .signs import pattern_of as pattern_of
from .signs import sign_pattern as sign_pattern
