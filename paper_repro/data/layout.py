"""How the two CIFAR sets are laid out in files, and what a genuine copy holds."""

from __future__ import annotations

from dataclasses import dataclass


DISTRIBUTIONS = ("binary", "python")

SIDE = 32
"""Height and width of an image."""

PIXELS = 3 * SIDE * SIDE
"""Bytes of an image: 1024 red, 1024 green, 1024 blue, each row by row (Krizhevsky 2009)."""

PICKLED_BYTES = 4000
"""Most bytes that a pickled batch may take per image (the official batches take 3104 and 3105)."""


@dataclass(frozen=True)
class Layout:
    """The files of one set in its official distributions.

    Parameters
    ----------
    name : of the set.
    classes, superclasses : number of labels; `superclasses` is 0 where there is one label an image.
    train, test : stems of the batch files, whose images are spread evenly over the files of a split.
    train_images, test_images : number of images of each split, the same number of every class.
    folders : of the binary and of the python distribution.
    identity : fingerprints of the training and of the test images, None where none is pinned.
    """

    name: str
    classes: int
    superclasses: int
    train: tuple[str, ...]
    test: tuple[str, ...]
    train_images: int
    test_images: int
    folders: tuple[str, str]
    identity: tuple[str, str] | None = None

    @property
    def label_bytes(self) -> int:
        """Bytes before the pixels of a binary record: the superclass, where there is one, then the class."""
        return 2 if self.superclasses else 1

    def images_of(self, stem: str) -> int:
        """Number of images in the batch `stem`."""
        if stem in self.test:
            return self.test_images // len(self.test)
        return self.train_images // len(self.train)

    def files(self, distribution: str) -> dict[str, str]:
        """File name of every batch in `distribution`, to its stem."""
        ending = ".bin" if distribution == "binary" else ""
        return {stem + ending: stem for stem in self.train + self.test}

    def folder(self, distribution: str) -> str:
        """Name of the folder in which `distribution` keeps its batches."""
        return self.folders[DISTRIBUTIONS.index(distribution)]

    def most_bytes(self, stem: str, distribution: str) -> int:
        """Size of a binary batch file; largest size that a pickled one may have."""
        each = PIXELS + self.label_bytes if distribution == "binary" else PICKLED_BYTES
        return each * self.images_of(stem)


CIFAR10 = Layout(
    name="cifar10",
    classes=10,
    superclasses=0,
    train=tuple(f"data_batch_{i}" for i in range(1, 6)),
    test=("test_batch",),
    train_images=50_000,
    test_images=10_000,
    folders=("cifar-10-batches-bin", "cifar-10-batches-py"),
    identity=(
        "55a61f79a40ece2ceda9fb5f9f7078f6ea2fc4952489cef56682bcf92cfcc260",
        "325704b01eb92e1e2a6215ae6a916bb7db7de054af0c496be1c7be2e0fcfbf5f",
    ),
)

CIFAR100 = Layout(
    name="cifar100",
    classes=100,
    superclasses=20,
    train=("train",),
    test=("test",),
    train_images=50_000,
    test_images=10_000,
    folders=("cifar-100-binary", "cifar-100-python"),
)

LAYOUTS = {layout.name: layout for layout in (CIFAR10, CIFAR100)}
