"""The spectral gap of nonlocal diffusion on an interval, over size and bandwidth.  usage: sweep.py TABLE [WORKERS]

TABLE ends in .csv or .parquet.  Stop it at any time: the same command goes on where it stopped.
"""

import sys
from concurrent.futures import ProcessPoolExecutor

import numpy as np

import nlmodel as nl
from nlmodel.sweep import sweep


def gap(M: int, bandwidth: float, normalize: str) -> dict[str, float]:
    """How fast the slowest mode decays, in units of its continuum limit bandwidth^2 pi^2 / 2."""
    x = (np.arange(M)[:, None] + 0.5) / M
    op = nl.NonlocalOperator.from_points(x, nl.kernels.Gaussian(bandwidth), normalize)
    slowest = 1 - float(np.sort(nl.spectrum.eigenvalues(op).real)[-2])
    return {"gap": slowest, "over_limit": slowest / (bandwidth**2 * np.pi**2 / 2)}


if __name__ == "__main__":
    workers = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    over = {"M": [100, 200, 400], "bandwidth": [0.02, 0.04, 0.08], "normalize": ["row", "sinkhorn", "alpha"]}
    with ProcessPoolExecutor(workers) as pool:
        print(sweep(gap, over, out=sys.argv[1], executor=pool, progress=print))
