"""A set of labelled images of 32 x 32 pixels: training images and test images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmodel._arrays import check_count
from nlmodel.errors import DomainError, DtypeError, ShapeError
from paper_repro.data.identity import canonical_order, fingerprint, image_digests, joint_fingerprint
from paper_repro.data.layout import SIDE


@dataclass(frozen=True, eq=False, repr=False)
class Cifar:
    """Images and labels of one set, in the order of their digests, so that every copy of the set is the same object.

    Parameters
    ----------
    name : "cifar10", "cifar100", or "synthetic-..." for a stand-in.
    train_images, test_images : uint8 arrays (n, 3, 32, 32).
    train_labels, test_labels : int64 arrays (n,), entries in 0, ..., classes - 1.
    classes : number of classes.
    fingerprint : SHA-256 over all images and labels, whatever their order.
    synthetic : True for images that are no photographs.

    Raises `DtypeError`, `ShapeError` or `DomainError` for arrays of another kind.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: int
    fingerprint: str
    synthetic: bool = False

    def __post_init__(self) -> None:
        check_count(self.classes, "classes", at_least=1)
        for split in ("train", "test"):
            images, labels = getattr(self, f"{split}_images"), getattr(self, f"{split}_labels")
            check_images(images, labels, split, self.classes)

    @classmethod
    def of(
        cls,
        name: str,
        train: tuple[np.ndarray, np.ndarray],
        test: tuple[np.ndarray, np.ndarray],
        *,
        classes: int,
        synthetic: bool = False,
    ) -> Cifar:
        """The set of the pairs (images, labels) `train` and `test`, put in order and fingerprinted."""
        train_images, train_labels, train_print = ordered(*train, "train", classes)
        test_images, test_labels, test_print = ordered(*test, "test", classes)
        joint = joint_fingerprint(train_print, test_print)
        return cls(name, train_images, train_labels, test_images, test_labels, classes, joint, synthetic)

    def __repr__(self) -> str:
        kind = "Cifar (synthetic, no photographs)" if self.synthetic else "Cifar"
        counts = f"{len(self.train_images)} training and {len(self.test_images)} test images"
        return f"{kind} {self.name}: {counts}, {self.classes} classes, fingerprint {self.fingerprint[:12]}"


def ordered(images: np.ndarray, labels: np.ndarray, split: str, classes: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Images and labels in the order of their digests, and their fingerprint."""
    check_images(images, labels, split, classes)
    digests = image_digests(images, labels)
    order = canonical_order(digests)
    return images[order], labels[order], fingerprint(digests)


def check_images(images: np.ndarray, labels: np.ndarray, split: str, classes: int) -> None:
    """Raise unless `images` and `labels` are the two arrays of a split."""
    for name, array, dtype in ((f"{split}_images", images, np.uint8), (f"{split}_labels", labels, np.int64)):
        if not isinstance(array, np.ndarray) or array.dtype != dtype:
            got = f"dtype {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
            raise DtypeError(f"{name} must be a NumPy array of {dtype.__name__}", got=got)
    if images.ndim != 4 or images.shape[1:] != (3, SIDE, SIDE) or len(images) == 0:
        raise ShapeError(f"{split}_images must be of shape (n, 3, {SIDE}, {SIDE}), n > 0", got=f"shape {images.shape}")
    if labels.shape != images.shape[:1]:
        raise ShapeError(f"{split}_labels must be one for each image", got=f"shape {labels.shape}")
    if labels.min() < 0 or labels.max() >= classes:
        raise DomainError(f"{split}_labels must lie in 0, ..., {classes - 1}", got=f"{labels.min()} to {labels.max()}")
