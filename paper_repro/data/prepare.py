"""A set made ready for use, and described: what `python -m paper_repro data` does."""

from __future__ import annotations

from os import PathLike

from paper_repro.data.cifar import Cifar
from paper_repro.data.download import Report, download
from paper_repro.data.identity import joint_fingerprint
from paper_repro.data.layout import LAYOUTS
from paper_repro.data.load import load


def prepare(
    name: str,
    root: str | PathLike[str],
    *,
    fetch: bool = False,
    distribution: str = "binary",
    verify: bool = True,
    report: Report | None = None,
) -> Cifar:
    """The set in `root`; with `fetch` its official archive is downloaded there first, otherwise nothing is.

    Parameters as for `load` and `download`.
    """
    if fetch:
        root = download(name, root, distribution=distribution, report=report)
    return load(name, root, verify=verify)


def describe(cifar: Cifar) -> str:
    """What a set holds, in a few lines: counts, mean colour, fingerprint, and what is known about its identity."""
    images = {"training": cifar.train_images, "test": cifar.test_images}
    lines = [repr(cifar)]
    for split, array in images.items():
        red, green, blue = array.mean(axis=(0, 2, 3)) / 255
        lines.append(f"  {split}: {len(array)} images, mean colour {red:.4f} {green:.4f} {blue:.4f}")
    lines += [f"  fingerprint: {cifar.fingerprint}", f"  identity: {identity(cifar)}"]
    return "\n".join(lines)


def identity(cifar: Cifar) -> str:
    """What the fingerprint says about the set."""
    layout = LAYOUTS.get(cifar.name)
    if cifar.synthetic or layout is None:
        return "synthetic images, no photographs: results on them say nothing about CIFAR"
    if layout.identity is None:
        return "sizes, labels and counts are right; no fingerprint of this set is pinned"
    if cifar.fingerprint == joint_fingerprint(*layout.identity):
        return "every image and label is the genuine one"
    return "not the genuine set: a subset, or other images or labels"
