"""A whole set from a copy on disk: read, checked, put in order."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np

from nlmodel._arrays import check_choice
from nlmodel.errors import DtypeError, FileError
from paper_repro.data.batch import Batch, parse
from paper_repro.data.cifar import Cifar
from paper_repro.data.identity import fingerprint, image_digests, joint_fingerprint
from paper_repro.data.layout import LAYOUTS, Layout
from paper_repro.data.source import read


def load(name: str, root: str | PathLike[str], *, verify: bool = True) -> Cifar:
    """CIFAR-10 or CIFAR-100 (Krizhevsky 2009) from the official binary or python files.

    Parameters
    ----------
    name : "cifar10" or "cifar100".
    root : the archive (.tar.gz), the folder of the batches, or a folder that holds either under its official name.
        The order of the images does not matter: whatever it is, the same set comes out, image by image.
    verify : check the number of images of each file and class and the fingerprint of all images and labels. False
        accepts a subset or other labels, and still checks every size, type and range. The fingerprint of CIFAR-100 is
        not known here: of it sizes, ranges, counts, and that every class has one superclass, are all that is checked.

    Raises `FileError`, which names the file, what was expected and what was found. Nothing is written anywhere.
    Cost: about two seconds from a folder, four from an archive.
    """
    check_choice(name, "name", LAYOUTS)
    if not isinstance(root, str | PathLike):
        raise DtypeError("root must be a path", got=repr(root), fix="name the folder or the archive that holds the set")
    return load_layout(LAYOUTS[name], Path(root), verify=verify)


def load_layout(layout: Layout, root: Path, *, verify: bool = True) -> Cifar:
    """`load` for the files of any `layout`."""
    batches: dict[str, Batch] = {}
    sources: dict[str, str] = {}
    for stem, distribution, source, data in read(root, layout):
        batches[stem] = parse(data, layout, stem, distribution, source, whole=verify)
        sources[stem] = source
        for other in batches:
            if other != stem and np.array_equal(batches[other].images, batches[stem].images):
                raise FileError(f"{source} must differ from every other batch", got=f"the images of {sources[other]}")
    splits = []
    for stems in (layout.train, layout.test):
        images = np.concatenate([batches[stem].images for stem in stems])
        labels = np.concatenate([batches[stem].labels for stem in stems])
        if verify:
            where = ", ".join(sources[stem] for stem in stems)
            check_counts(labels, layout.classes, "labels", where)
            check_superclasses([batches[stem] for stem in stems], layout, where)
        splits.append((images, labels))
    del batches
    cifar = Cifar.of(layout.name, *splits, classes=layout.classes)
    if verify and layout.identity and cifar.fingerprint != joint_fingerprint(*layout.identity):
        raise mismatch(layout, splits, sources)
    return cifar


def check_counts(labels: np.ndarray, classes: int, what: str, where: str) -> None:
    """Raise unless every class has the same number of images."""
    counts = np.bincount(labels, minlength=classes)
    expected = len(labels) // classes
    if np.any(counts != expected):
        at = int(np.argmax(counts != expected))
        raise FileError(
            f"{what} of {where} must name every class {expected} times",
            got=f"class {at} {counts[at]} times",
            why="an image is missing, repeated or wrongly labelled",
            fix="use a genuine copy, or verify=False for a set of one's own",
        )


def check_superclasses(batches: list[Batch], layout: Layout, where: str) -> None:
    """Raise unless the superclasses are as frequent as they should be and every class belongs to one of them."""
    found = [batch.superlabels for batch in batches if batch.superlabels is not None]
    if not found:
        return
    labels, superlabels = np.concatenate([batch.labels for batch in batches]), np.concatenate(found)
    check_counts(superlabels, layout.superclasses, "superclass labels", where)
    pairs = np.unique(np.stack([labels, superlabels]), axis=1)
    if pairs.shape[1] != layout.classes:
        raise FileError(f"every class of {where} must have one superclass", got=f"{pairs.shape[1]} pairs of the two")


def mismatch(layout: Layout, splits: list[tuple[np.ndarray, np.ndarray]], sources: dict[str, str]) -> FileError:
    """The error for images or labels that are not the genuine ones."""
    found = [fingerprint(image_digests(*split)) for split in splits]
    stems = zip((layout.train, layout.test), layout.identity or (), found, strict=True)
    wrong = [(sources[stem], genuine, ours) for names, genuine, ours in stems if genuine != ours for stem in names]
    return FileError(
        f"{', '.join(source for source, _, _ in wrong)} must hold the images and labels of {layout.name}, "
        f"fingerprint {' and '.join(dict.fromkeys(genuine for _, genuine, _ in wrong))}",
        got=" and ".join(dict.fromkeys(ours for _, _, ours in wrong)),
        why="a pixel or a label differs from the genuine set's, and results would not be about it",
        fix="use a genuine copy, or verify=False for a set of one's own",
    )
