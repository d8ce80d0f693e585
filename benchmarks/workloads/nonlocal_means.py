"""W7: non-local means, 512 x 512 pixels with noise of standard deviation 0.1, patches of 7, search window of 23."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.case import Built, Case, Contestant, Setting
from benchmarks.figures import accurate, timed
from benchmarks.numpy_calls import built, sized
from benchmarks.peers import opencv_nlm, skimage_nlm
from benchmarks.workload import Workload
from nlmodel.images import PatchWeights, nonlocal_means, picture


DENOISED = "denoised"
SIZE, SMALL = 512, 40
PATCH, REACH, SIGMA = 7, 11, 0.1
H_EXACT, H_FAST = 0.6 * SIGMA, 0.8 * SIGMA
DECIBEL = 0.05  # by which the peak signal-to-noise ratio may be lower

Denoise = Callable[[np.ndarray], np.ndarray]


def contestant(setting: Setting, denoise: Denoise, colour: bool) -> Built:
    """A way to denoise the picture; its error is the root mean square of what is left."""
    clean = picture(sized(setting, SIZE, SMALL), colour=colour)
    noise = SIGMA * np.random.default_rng(5).standard_normal(clean.shape)
    noisy = (clean + noise).astype(setting.precision)
    return built({DENOISED: lambda: denoise(noisy)}, error=lambda found: float(np.sqrt(np.mean((found - clean) ** 2))))


def ours(setting: Setting, colour: bool = False, **weights) -> Built:
    """Ours, with these weights."""
    return contestant(setting, partial(nonlocal_means, weights=PatchWeights(sigma=SIGMA, **weights)), colour)


def scikit_image(setting: Setting, fast: bool, colour: bool = False) -> Built:
    """scikit-image's."""

    def denoise(noisy: np.ndarray) -> np.ndarray:
        return skimage_nlm.denoise(noisy, PATCH, REACH, H_FAST if fast else H_EXACT, SIGMA, fast=fast)

    return contestant(setting, denoise, colour)


def opencv(setting: Setting, colour: bool = False) -> Built:
    """OpenCV's, of a strength that is the noise's."""
    return contestant(setting, lambda noisy: opencv_nlm.denoise(noisy, PATCH, REACH, SIGMA), colour)


def exact_form(name: str, colour: bool) -> Case:
    """Patches with Gaussian weights."""
    slow = "scikit-image, slow mode"
    return Case(name, f"{ABOUT}, float64, Gaussian patches", (
        Contestant("ours", partial(ours, colour=colour, h=H_EXACT, exponential="schraudolph"), slow, within=1e-10),
        Contestant("ours, exact exponential", partial(ours, colour=colour, h=H_EXACT)),
        Contestant(slow, partial(scikit_image, fast=False, colour=colour)),
    ), (DENOISED,), precision="float64", cold=(DENOISED,))  # fmt: skip


def fast_form(name: str, colour: bool, precision: str) -> Case:
    """Patches with equal weights."""
    return Case(name, f"{ABOUT}, {precision}, uniform patches; OpenCV's pixels are bytes", (
        Contestant("ours", partial(ours, colour=colour, h=H_FAST, taper="uniform")),
        Contestant("scikit-image, fast mode", partial(scikit_image, fast=True, colour=colour)),
        Contestant("OpenCV", partial(opencv, colour=colour)),
    ), (DENOISED,), precision=precision, cold=(DENOISED,))  # fmt: skip


ABOUT = f"{SIZE} x {SIZE}, patches of {PATCH}, window of {2 * REACH + 1}"
EXACT, EXACT_RGB = "W7 exact, grey", "W7 exact, RGB"
FAST, SINGLE, FAST_RGB = "W7 fast, grey, float64", "W7 fast, grey, float32", "W7 fast, RGB, float32"

CASES = (
    fast_form(FAST, False, "float64"),
    fast_form(SINGLE, False, "float32"),
    fast_form(FAST_RGB, True, "float32"),
    exact_form(EXACT, False),
    exact_form(EXACT_RGB, True),
)

WORKLOAD = Workload("W7", "non-local means", __name__, CASES, (
    *(timed(case, DENOISED, "ours", "scikit-image, fast mode", 0.20, 0.10) for case in (FAST, SINGLE, FAST_RGB)),
    *(accurate(case, DENOISED, "ours", "scikit-image, fast mode", 10 ** (DECIBEL / 20))
      for case in (FAST, SINGLE, FAST_RGB)),
    *(timed(case, DENOISED, "ours", "scikit-image, slow mode", 0.05, 0.02) for case in (EXACT, EXACT_RGB)),
))  # fmt: skip
