"""Draw how one block damps the modes of its kernel: original against proposed.  usage: damping.py FILE"""

import sys
from pathlib import Path

import numpy as np

import nlmodel as nl
from nlmodel import plot


x = (np.arange(60) + 0.5)[:, None] / 60
op = nl.NonlocalOperator.from_points(x, nl.kernels.Gaussian(0.02), "row")
eigenvalues = nl.spectrum.eigenvalues(op)
figure = plot.mode_damping(0.9, eigenvalues.real)
figure.savefig(Path(sys.argv[1]), metadata={"Date": None})
