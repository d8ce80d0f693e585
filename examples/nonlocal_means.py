"""Denoise a picture by non-local means and by several steps of the nonlocal stage that they are one step of.

usage: nonlocal_means.py [--out FILE] [--size N]
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import nlmodel as nl
from nlmodel.images import PatchWeights, nonlocal_means, patch_operator, picture


SIGMA = 0.1  # of the noise; the picture lies between 0 and 1
PATCH, REACH = 5, 5
STEPS, FIDELITY = 6, 0.1


def psnr(v: np.ndarray, clean: np.ndarray) -> float:
    """Peak signal-to-noise ratio in decibel."""
    return -10 * float(np.log10(np.mean((v - clean) ** 2)))


def main() -> None:
    """Run the three methods and draw them beside each other."""
    line = argparse.ArgumentParser(description=__doc__)
    line.add_argument("--out", type=Path, default=Path("out/nonlocal_means.png"), metavar="FILE")
    line.add_argument("--size", type=int, default=160, metavar="N", help="rows and columns (default 160)")
    options = line.parse_args()

    clean = picture(options.size)
    noisy = clean + SIGMA * np.random.default_rng(0).standard_normal(clean.shape)
    weights = PatchWeights(0.6 * SIGMA, PATCH, REACH, SIGMA)

    # L = K - I with K found from the noisy picture: v + L v is non-local means, to rounding
    op = patch_operator(noisy, weights)
    Z = noisy.reshape(-1, 1)
    once = nonlocal_means(noisy, weights)
    step = nl.stepping.evolve(op, Z, step=1.0, steps=1).final
    print(f"one step of the stage and non-local means differ by {np.max(np.abs(step.reshape(once.shape) - once)):.1e}")

    # more steps of the same linear stage smooth on; a pull towards the given picture holds the details
    stage = nl.stepping.evolve(op, Z, step=1.0, steps=STEPS).final
    held = nl.stepping.evolve(op, Z, step=0.8, steps=STEPS, reaction=lambda v: FIDELITY * (Z - v)).final

    pictures = {
        "clean": clean,
        f"noisy, {psnr(noisy, clean):.1f} dB": noisy,
        f"non-local means = one step, {psnr(once, clean):.1f} dB": once,
        f"{STEPS} steps, {psnr(stage.reshape(clean.shape), clean):.1f} dB": stage,
        f"{STEPS} steps with fidelity, {psnr(held.reshape(clean.shape), clean):.1f} dB": held,
        "taken away by one step": 0.5 + 2 * (noisy - once),
    }
    draw(pictures, clean.shape, options.out)
    print(*pictures, options.out, sep="\n")


def draw(pictures: dict[str, np.ndarray], shape: tuple[int, ...], path: Path) -> None:
    """Save the pictures in two rows."""
    figure = Figure(figsize=(10.5, 7.4), layout="constrained")
    axes = figure.subplots(2, 3)
    for axis, (title, values) in zip(axes.flat, pictures.items(), strict=True):
        axis.imshow(values.reshape(shape), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axis.set_title(title, fontsize=9)
        axis.set_axis_off()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
