"""A fixed part of a set, the same for every copy of it."""

from __future__ import annotations

import numpy as np

from nlmodel._arrays import check_count
from nlmodel.errors import DomainError
from paper_repro.data.cifar import Cifar
from paper_repro.data.identity import canonical_order, image_digests


def subset(cifar: Cifar, train_images: int | None = None, test_images: int | None = None) -> Cifar:
    """The set cut down to `train_images` and `test_images` images, each class alike; None keeps all.

    Of each class those with the smallest digests are taken: a choice that looks random, needs no seed, and depends on
    no order of files. Where the number is no multiple of the number of classes, the first classes have one more.
    The part of a part is the part of the whole.

    Raises `DomainError` for fewer images than classes, or more than there are.
    """
    if train_images is None and test_images is None:
        return cifar
    train = first_of_each_class(cifar.train_images, cifar.train_labels, cifar.classes, train_images, "train_images")
    test = first_of_each_class(cifar.test_images, cifar.test_labels, cifar.classes, test_images, "test_images")
    return Cifar.of(cifar.name, train, test, classes=cifar.classes, synthetic=cifar.synthetic)


def first_of_each_class(
    images: np.ndarray, labels: np.ndarray, classes: int, count: int | None, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """`count` images and their labels, in the order of the digests."""
    if count is None:
        return images, labels
    check_count(count, name, at_least=classes)
    order = canonical_order(image_digests(images, labels))
    chosen = []
    for k in range(classes):
        wanted = count // classes + (k < count % classes)
        found = order[labels[order] == k]
        if len(found) < wanted:
            raise DomainError(
                f"{name} must leave every class as many images as it has",
                got=f"{count}, {wanted} of class {k}, which has {len(found)}",
            )
        chosen.append(found[:wanted])
    rows = np.concatenate(chosen)
    return images[rows], labels[rows]
