"""Subsets that every copy shares, and the synthetic stand-in."""

from dataclasses import replace

import numpy as np
import pytest

from nlmodel.errors import ChoiceError, DomainError, DtypeError
from paper_repro.data.cifar import Cifar
from paper_repro.data.prepare import describe, identity
from paper_repro.data.subset import subset
from paper_repro.data.synthetic import synthetic


DATA = synthetic(train=300, test=100)


def reordered(cifar: Cifar, seed: int = 1) -> Cifar:
    """The same images in another order, as a Cifar that was not put in order."""
    order = np.random.default_rng(seed).permutation(len(cifar.train_labels))
    return replace(cifar, train_images=cifar.train_images[order], train_labels=cifar.train_labels[order])


def check_same_images(a: Cifar, b: Cifar) -> None:
    assert a.fingerprint == b.fingerprint
    np.testing.assert_array_equal(a.train_images, b.train_images)
    np.testing.assert_array_equal(a.train_labels, b.train_labels)


def test_a_subset_depends_on_no_order():
    check_same_images(subset(reordered(DATA), 100, 50), subset(DATA, 100, 50))


def test_a_subset_by_position_would():
    """Control: the first images of each order are others."""
    first, second = DATA.train_images[:100], reordered(DATA).train_images[:100]
    assert not np.array_equal(np.sort(first.reshape(100, -1), axis=0), np.sort(second.reshape(100, -1), axis=0))


@pytest.mark.parametrize("count", [10, 64, 100, 300])
def test_a_subset_is_balanced_and_part_of_the_whole(count):
    part = subset(DATA, count)
    counts = np.bincount(part.train_labels, minlength=10)
    assert counts.sum() == count and counts.max() - counts.min() <= 1
    np.testing.assert_array_equal(part.test_images, DATA.test_images)
    whole = {(int(k), image.tobytes()) for image, k in zip(DATA.train_images, DATA.train_labels, strict=True)}
    found = {(int(k), image.tobytes()) for image, k in zip(part.train_images, part.train_labels, strict=True)}
    assert len(found) == count and found <= whole
    assert (part.fingerprint == DATA.fingerprint) == (count == 300)


def test_a_part_of_a_part_is_the_part_of_the_whole():
    check_same_images(subset(subset(DATA, 150, 50), 60, 20), subset(DATA, 60, 20))
    assert subset(DATA) is DATA


def test_the_synthetic_set_is_named_so_everywhere():
    for name, classes in (("cifar10", 10), ("cifar100", 100)):
        cifar = synthetic(name, train=200, test=100)
        assert cifar.synthetic and cifar.name == f"synthetic-{name}" and cifar.classes == classes
        assert "synthetic, no photographs" in repr(cifar)
        assert "say nothing about CIFAR" in identity(cifar) and "say nothing about CIFAR" in describe(cifar)
        assert subset(cifar, 100).synthetic and "synthetic" in repr(subset(cifar, 100))
        np.testing.assert_array_equal(np.bincount(cifar.train_labels), np.full(classes, 200 // classes))


def test_the_synthetic_set_follows_from_its_seed():
    check_same_images(synthetic(train=50, test=10, seed=3), synthetic(train=50, test=10, seed=3))
    assert synthetic(train=50, test=10, seed=4).fingerprint != synthetic(train=50, test=10, seed=3).fingerprint


def spectra(images: np.ndarray) -> np.ndarray:
    """Magnitudes of the low frequencies of every channel, which no shift and no mirror changes."""
    magnitudes = np.abs(np.fft.fft2(images.astype(float)))
    folded = magnitudes[:, :, :4, :4] + magnitudes[:, :, :4, -np.arange(4)]
    folded[:, :, 0, 0] = 0
    return folded.reshape(len(images), -1)


def nearest_centre_error(features, cifar: Cifar) -> float:
    """Share of the test images whose nearest class mean of the training images is another class."""
    train, test = features(cifar.train_images), features(cifar.test_images)
    centres = np.stack([train[cifar.train_labels == k].mean(axis=0) for k in range(cifar.classes)])
    distances = np.linalg.norm(test[:, None] - centres, axis=2)
    return float(np.mean(distances.argmin(axis=1) != cifar.test_labels))


def test_the_textures_can_be_learnt_and_the_colours_say_nothing():
    assert nearest_centre_error(spectra, DATA) == 0.0
    assert nearest_centre_error(lambda images: images.mean(axis=(2, 3)), DATA) > 0.7
    large = synthetic("cifar100", train=1000, test=300)
    assert nearest_centre_error(spectra, large) < 0.5


def test_mirror_images_keep_their_class():
    mirrored = replace(DATA, test_images=DATA.test_images[:, :, :, ::-1].copy())
    assert nearest_centre_error(spectra, mirrored) == 0.0
    turned = replace(DATA, test_images=DATA.test_images.transpose(0, 1, 3, 2).copy())
    assert nearest_centre_error(spectra, turned) > 0.5  # control: turned over, a wave is another class's


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: subset(DATA, 9), DomainError, "train_images must be at least 10"),
        (lambda: subset(DATA, 100.0), DtypeError, "train_images must be a whole number"),
        (lambda: subset(DATA, None, 3), DomainError, "test_images must be at least 10"),
        (lambda: subset(DATA, 310), DomainError, "leave every class as many .* 31 of class 0, which has 30"),
        (lambda: subset(DATA, None, 2000), DomainError, "test_images must leave every class"),
        (lambda: synthetic("mnist"), ChoiceError, "name must be one of"),
        (lambda: synthetic(train=5), DomainError, "train must be at least 10"),
        (lambda: synthetic("cifar100", test=99), DomainError, "test must be at least 100"),
        (lambda: synthetic(seed=-1), DomainError, "seed must be at least 0"),
    ],
)
def test_mistakes_are_named(call, error, match):
    with pytest.raises(error, match=match):
        call()
