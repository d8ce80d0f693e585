"""CIFAR from either distribution, folder or archive, in any order: one and the same set."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nlmodel.errors import ChoiceError, DomainError, DtypeError, FileError, ShapeError
from paper_repro.data.cifar import Cifar
from paper_repro.data.identity import fingerprint, image_digests
from paper_repro.data.layout import CIFAR10, CIFAR100, LAYOUTS, Layout
from paper_repro.data.load import load, load_layout
from paper_repro.data.prepare import describe, identity, prepare
from paper_repro.data.source import archive_name
from paper_repro.data.unpickle import unpickle
from tests.paper_repro.cifar_files import (
    TINY10,
    TINY100,
    binary_files,
    python_files,
    superclass,
    tiny_images,
    write_archive,
    write_folder,
)


LAYOUTS_TINY = (TINY10, TINY100)
WRITERS = {"binary": binary_files, "python": python_files}


def shuffled(layout: Layout, images: dict, seed: int = 7) -> dict:
    """The same images, spread anew over the batches of each split."""
    rng, made = np.random.default_rng(seed), {}
    for stems in (layout.train, layout.test):
        pixels, labels = (np.concatenate([images[stem][k] for stem in stems]) for k in (0, 1))
        order = rng.permutation(len(labels))
        for stem, part in zip(stems, np.split(order, len(stems)), strict=True):
            made[stem] = pixels[part], labels[part]
    return made


def check_same(a: Cifar, b: Cifar) -> None:
    assert a.fingerprint == b.fingerprint
    for name in ("train_images", "train_labels", "test_images", "test_labels"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


@pytest.mark.parametrize("layout", LAYOUTS_TINY, ids=lambda layout: layout.name)
@pytest.mark.parametrize("distribution", WRITERS)
def test_every_copy_gives_the_same_set(tmp_path, layout, distribution):
    images = tiny_images(layout)
    write = WRITERS[distribution]
    expected = load_layout(layout, write_folder(tmp_path / "first", binary_files(layout, images)))
    folder = write_folder(tmp_path / "root" / layout.folder(distribution), write(layout, shuffled(layout, images)))
    archive = tmp_path / "archives" / archive_name(layout, distribution)
    archive.parent.mkdir()
    write_archive(archive, dict(reversed(write(layout, images).items())), folder=layout.folder(distribution))
    for root in (folder, folder.parent, archive, archive.parent):
        check_same(load_layout(layout, root), expected)


@pytest.mark.parametrize("layout", LAYOUTS_TINY, ids=lambda layout: layout.name)
def test_no_image_and_no_label_is_lost(tmp_path, layout):
    images = tiny_images(layout)
    cifar = load_layout(layout, write_folder(tmp_path / "a", binary_files(layout, images)))
    for stems, ours, labels in (
        (layout.train, cifar.train_images, cifar.train_labels),
        (layout.test, cifar.test_images, cifar.test_labels),
    ):
        given = [(int(k), pixels.tobytes()) for stem in stems for pixels, k in zip(*images[stem], strict=True)]
        assert sorted(given) == sorted((int(k), image.tobytes()) for image, k in zip(ours, labels, strict=True))


def test_the_first_pixel_is_red_and_the_top_row_comes_first(tmp_path):
    images = tiny_images(TINY10)
    pixels, labels = images["test_batch"]
    cifar = load_layout(TINY10, write_folder(tmp_path / "a", python_files(TINY10, images, fortran=True)))
    found = next(
        image for image in cifar.test_images if image[0, 0, 0] == pixels[3, 0] and image[0, 0, 1] == pixels[3, 1]
    )
    np.testing.assert_array_equal(found[1, 2], pixels[3, 1024 + 64 : 1024 + 96])
    assert labels[3] in cifar.test_labels[[np.array_equal(found, image) for image in cifar.test_images]]


def test_a_set_of_ones_own_needs_to_say_so(tmp_path):
    images = tiny_images(TINY10)
    pixels, labels = images["data_batch_1"]
    images["data_batch_1"] = pixels[:7], labels[:7]
    folder = write_folder(tmp_path / "a", python_files(TINY10, images))
    with pytest.raises(FileError, match=r"data_batch_1 must hold 20 images: got 7"):
        load_layout(TINY10, folder)
    assert len(load_layout(TINY10, folder, verify=False).train_images) == 27


def test_the_fingerprint_sees_every_pixel_and_label_and_no_order(tmp_path):
    rng = np.random.default_rng(3)
    images, labels = rng.integers(0, 256, (9, 3, 32, 32), dtype=np.uint8), np.arange(9)
    genuine = fingerprint(image_digests(images, labels))
    order = rng.permutation(9)
    assert fingerprint(image_digests(images[order], labels[order])) == genuine
    assert fingerprint(image_digests(images, labels[order])) != genuine
    other = images.copy()
    other[4, 2, 31, 31] ^= 1
    assert fingerprint(image_digests(other, labels)) != genuine
    assert fingerprint(image_digests(images[:8], labels[:8])) != genuine


def test_the_pinned_layouts_are_those_of_the_published_sets():
    for layout in (CIFAR10, CIFAR100):
        assert sum(map(layout.images_of, layout.train)) == 50_000 and layout.images_of(layout.test[0]) == 10_000
    assert CIFAR10.most_bytes("data_batch_1", "binary") == 30_730_000
    assert CIFAR100.most_bytes("train", "binary") == 153_700_000
    assert CIFAR10.most_bytes("data_batch_1", "python") == 40_000_000
    assert CIFAR10.identity is not None and all(len(pin) == 64 for pin in CIFAR10.identity)
    assert LAYOUTS == {"cifar10": CIFAR10, "cifar100": CIFAR100}


def test_an_official_pickle_is_one_for_pickle_too():
    """The reader agrees with Python's own on files that are harmless."""
    images = tiny_images(TINY100)
    for fortran in (False, True):
        for stem, data in python_files(TINY100, images, fortran=fortran).items():
            expected, found = pickle.loads(data, encoding="latin1"), unpickle(data, stem)
            assert expected.keys() == found.keys()
            described = found.pop("data")
            pixels = np.frombuffer(described.data(stem), np.uint8).reshape(
                described.shape, order="CF"[described.fortran]
            )
            np.testing.assert_array_equal(pixels, expected.pop("data"))
            assert found == expected


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_batches_pickled_anew_are_read_up_to_protocol_2(tmp_path, protocol):
    images = tiny_images(TINY10)
    expected = load_layout(TINY10, write_folder(tmp_path / "a", binary_files(TINY10, images)))
    layout = replace(TINY10, folders=("x", "y"))
    files = {
        stem: pickle.dumps({"data": pixels & 127, "labels": labels.tolist()}, protocol=protocol)
        for stem, (pixels, labels) in images.items()
    }
    found = load_layout(layout, write_folder(tmp_path / "b", files))
    assert sorted(image.tobytes() for image in found.test_images) == sorted(
        (image & 127).tobytes() for image in expected.test_images
    )


def test_superclasses_are_checked(tmp_path):
    files = binary_files(TINY100, tiny_images(TINY100))
    records = np.frombuffer(files["train.bin"], np.uint8).reshape(-1, 3074).copy()
    records[[0, 1], 0] = records[[1, 0], 0]
    assert superclass(records[:, 1])[0] != superclass(records[:, 1])[1]
    folder = write_folder(tmp_path / "a", files | {"train.bin": records.tobytes()})
    with pytest.raises(FileError, match=r"train\.bin must have one superclass: got 10[12] pairs"):
        load_layout(TINY100, folder)


def test_what_is_known_about_a_set_is_said(tmp_path):
    images = tiny_images(TINY10)
    folder = write_folder(tmp_path / "a", binary_files(TINY10, images))
    cifar = load_layout(TINY10, folder)
    assert repr(cifar) == (
        f"Cifar cifar10: 40 training and 10 test images, 10 classes, fingerprint {cifar.fingerprint[:12]}"
    )
    assert "not the genuine set" in identity(cifar)
    assert "no fingerprint of this set is pinned" in identity(replace(cifar, name="cifar100"))
    text = describe(cifar)
    assert cifar.fingerprint in text and "training: 40 images, mean colour 0.4" in text


def test_the_genuine_fingerprint_is_recognised(tmp_path, monkeypatch):
    cifar = load_layout(TINY10, write_folder(tmp_path / "a", binary_files(TINY10, tiny_images(TINY10))))
    splits = (cifar.train_images, cifar.train_labels), (cifar.test_images, cifar.test_labels)
    pins = tuple(fingerprint(image_digests(*split)) for split in splits)
    monkeypatch.setitem(LAYOUTS, "cifar10", replace(TINY10, identity=pins))
    assert "every image and label is the genuine one" in describe(prepare("cifar10", tmp_path / "a"))


def cifar(**changes) -> Cifar:
    images, labels = np.zeros((4, 3, 32, 32), np.uint8), np.zeros(4, np.int64)
    arrays = {"train_images": images, "train_labels": labels, "test_images": images, "test_labels": labels}
    given = {"name": "own", "classes": 2, "fingerprint": ""} | arrays | changes
    return Cifar(**given)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: load("cifar11", "."), ChoiceError, r"name must be one of 'cifar10', 'cifar100'"),
        (lambda: load("cifar10", None), DtypeError, "root must be a path"),
        (lambda: load("cifar10", "no/such/folder"), FileError, "no such path"),
        (lambda: load("cifar10", "bad\0name"), FileError, "cifar10 must lie in"),
        (lambda: load("cifar10", Path(__file__).parent), FileError, "a folder without its batches"),
        (lambda: load("cifar10", __file__), FileError, "must be a gzip-compressed tar archive"),
        (
            lambda: cifar(train_images=np.zeros((4, 3, 32, 32))),
            DtypeError,
            "train_images must be a NumPy array of uint8",
        ),
        (lambda: cifar(train_images=[1]), DtypeError, "train_images .* got list"),
        (lambda: cifar(test_images=np.zeros((4, 32, 32, 3), np.uint8)), ShapeError, "test_images must be of shape"),
        (lambda: cifar(test_images=np.zeros((0, 3, 32, 32), np.uint8)), ShapeError, "n > 0"),
        (lambda: cifar(test_labels=np.zeros(4, np.uint8)), DtypeError, "test_labels must be a NumPy array of int64"),
        (lambda: cifar(test_labels=np.zeros(3, np.int64)), ShapeError, "test_labels must be one for each image"),
        (lambda: cifar(test_labels=np.full(4, 2)), DomainError, r"test_labels must lie in 0, \.\.\., 1"),
        (lambda: cifar(test_labels=np.full(4, -1)), DomainError, "test_labels must lie in"),
        (lambda: cifar(classes=0), DomainError, "classes must be at least 1"),
    ],
)
def test_mistakes_are_named(call, error, match):
    with pytest.raises(error, match=match):
        call()
