"""Images that are no photographs: a stand-in to run everything without a copy of CIFAR."""

from __future__ import annotations

import numpy as np

from nlmodel._arrays import check_choice, check_count
from paper_repro.data.cifar import Cifar
from paper_repro.data.layout import LAYOUTS, SIDE


WAVES = [(down, right) for down in range(4) for right in range(4) if down + right > 0]
"""Periods per image, down and to the right; no wave is the mirror image of another."""

AMPLITUDE, NOISE = 45.0, 25.0


def synthetic(name: str = "cifar10", *, train: int = 10_000, test: int = 2_000, seed: int = 0) -> Cifar:
    """A set of the shape of CIFAR whose classes are smooth textures; named synthetic, never CIFAR.

        image_k(c, y, x) = 128 + 45 a_k(c) sin(2 pi (f_k y + g_k x) / 32 + phase) + 25 noise

    with a wave (f_k, g_k) and a direction a_k in colour space for each class k, a random phase for each image, and
    white noise. Cropping shifts the phase and mirroring keeps the class, as for photographs; the mean colour of every
    image is grey, so that only the texture tells the class.

    Parameters
    ----------
    name : "cifar10" or "cifar100", which gives the number of classes.
    train, test : number of images, at least one of each class.
    seed : of the phases and the noise; the textures are always the same.
    """
    check_choice(name, "name", LAYOUTS)
    classes = LAYOUTS[name].classes
    check_count(train, "train", at_least=classes)
    check_count(test, "test", at_least=classes)
    rng = np.random.default_rng([check_count(seed, "seed"), classes])
    splits = [textures(np.arange(count) % classes, rng) for count in (train, test)]
    return Cifar.of(f"synthetic-{name}", *splits, classes=classes, synthetic=True)


def textures(labels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One image for each label."""
    which, turn = labels % len(WAVES), labels // len(WAVES)
    waves = np.array(WAVES, dtype=np.float32)[which]
    hue = which + np.pi / 7 * turn  # a colour and its negative are one, half a period apart
    colour = np.cos(hue[:, None] + 2 * np.pi / 3 * np.arange(3)).astype(np.float32)
    phase = rng.uniform(0, 2 * np.pi, len(labels)).astype(np.float32)
    y, x = np.meshgrid(*[np.arange(SIDE, dtype=np.float32)] * 2, indexing="ij")
    images = np.empty((len(labels), 3, SIDE, SIDE), dtype=np.uint8)
    for start in range(0, len(labels), 1000):  # in parts, to spare memory
        part = slice(start, start + 1000)
        angle = waves[part, 0, None, None] * y + waves[part, 1, None, None] * x
        wave = np.sin(2 * np.pi / SIDE * angle + phase[part, None, None])
        noise = rng.standard_normal(images[part].shape, dtype=np.float32)
        values = 128 + AMPLITUDE * colour[part, :, None, None] * wave[:, None] + NOISE * noise
        images[part] = np.clip(np.rint(values), 0, 255)
    return images, labels.astype(np.int64)
