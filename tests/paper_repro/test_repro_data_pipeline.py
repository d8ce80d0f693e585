"""Batches: equal to the definition image by image, the same whatever the batch size, and balanced."""

import numpy as np
import pytest
import torch

from nlmodel.errors import ChoiceError, DomainError, DtypeError, NonFiniteError
from nlmodel.testing import assert_close
from paper_repro.data.cifar import Cifar
from paper_repro.data.pipeline import Pipeline, Plan
from paper_repro.data.synthetic import synthetic


DATA = synthetic(train=70, test=20)


def by_definition(cifar: Cifar, plan: Plan, k: int, mean: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Image k of an epoch in plain steps: normalise, pad, crop, mirror."""
    image = (cifar.train_images[int(plan.order[k])].astype(np.float32) - mean) * factor[:, None, None]
    padded = np.zeros((3, 40, 40), dtype=np.float32)
    padded[:, 4:36, 4:36] = image
    top, left = int(plan.top[k]), int(plan.left[k])
    cut = padded[:, top : top + 32, left : left + 32]
    return cut[:, :, ::-1] if plan.flip[k] else cut


def pixel_mean(cifar: Cifar) -> np.ndarray:
    return cifar.train_images.astype(np.float64).mean(axis=0).astype(np.float32)


def check_epoch(pipeline: Pipeline, expected) -> None:
    plan = pipeline.plan(epoch=2, seed=5)
    x, y = zip(*pipeline.epoch(32, epoch=2, seed=5), strict=True)
    found = torch.cat(x).numpy()
    np.testing.assert_array_equal(torch.cat(y).numpy(), DATA.train_labels[plan.order.numpy()])
    np.testing.assert_array_equal(found, np.stack([expected(plan, k) for k in range(len(found))]))


@pytest.mark.parametrize("scale", [1.0, 255.0])
def test_an_epoch_is_the_definition_image_by_image(scale):
    mean, factor = pixel_mean(DATA), np.full(3, scale / 255, dtype=np.float32)
    pipeline = Pipeline(DATA, pixel_scale=scale)
    check_epoch(pipeline, lambda plan, k: by_definition(DATA, plan, k, mean, factor))


@pytest.mark.parametrize("wrong", ["crop", "mirror", "pad first"])
def test_the_definition_tells_apart(wrong):
    """Control: an offset exchanged, no mirror, or a border of black instead of the mean's colour is another epoch."""
    mean, factor = pixel_mean(DATA), np.full(3, 1 / 255, dtype=np.float32)

    def other(plan: Plan, k: int) -> np.ndarray:
        if wrong == "crop":
            return by_definition(DATA, Plan(plan.order, plan.left, plan.top, plan.flip), k, mean, factor)
        if wrong == "mirror":
            return by_definition(DATA, Plan(plan.order, plan.top, plan.left, plan.flip & False), k, mean, factor)
        black = np.zeros(3, dtype=np.float32), np.ones(3, dtype=np.float32)
        raw = by_definition(DATA, plan, k, black[0][:, None, None], black[1])
        return (raw - mean) * factor[:, None, None]

    with pytest.raises(AssertionError, match="not equal"):
        check_epoch(Pipeline(DATA), other)


def test_mean_and_standard_deviation_of_each_channel():
    pixels = DATA.train_images.astype(np.float64)
    mean, spread = pixels.mean(axis=(0, 2, 3)), pixels.std(axis=(0, 2, 3))
    expected = (DATA.test_images - mean[:, None, None]) / spread[:, None, None]
    for scale in (1.0, 255.0):
        pipeline = Pipeline(DATA, preprocessing="mean_std", pixel_scale=scale)
        (found, _), *rest = pipeline.test_batches(20)
        assert not rest
        assert_close(found.numpy(), expected.astype(np.float32), "elementwise")


def test_test_images_keep_their_order_and_their_place():
    x, y = zip(*Pipeline(DATA).test_batches(6), strict=True)
    assert [len(part) for part in x] == [6, 6, 6, 2]
    expected = (DATA.test_images.astype(np.float32) - pixel_mean(DATA)) * np.float32(1 / 255)
    np.testing.assert_array_equal(torch.cat(x).numpy(), expected)
    np.testing.assert_array_equal(torch.cat(y).numpy(), DATA.test_labels)


def test_without_augmentation_only_the_order_is_random():
    pipeline = Pipeline(DATA, augment=False)
    order = Pipeline(DATA).plan(epoch=0, seed=1).order
    (x, y), *rest = pipeline.epoch(70, epoch=0, seed=1)
    assert not rest
    expected = (DATA.train_images.astype(np.float32) - pixel_mean(DATA)) * np.float32(1 / 255)
    np.testing.assert_array_equal(x.numpy(), expected[order.numpy()])
    np.testing.assert_array_equal(y.numpy(), DATA.train_labels[order.numpy()])


@pytest.mark.parametrize("size", [1, 7, 64, 70, 1000])
def test_an_epoch_does_not_depend_on_the_batch_size(size):
    pipeline = Pipeline(DATA)
    whole = torch.cat([x for x, _ in pipeline.epoch(70, epoch=3, seed=0)])
    parts = [x for x, _ in pipeline.epoch(size, epoch=3, seed=0)]
    assert len(parts) == pipeline.steps(size) == -(-70 // size)
    assert torch.equal(torch.cat(parts), whole)


def test_an_epoch_goes_on_where_it_was_interrupted():
    pipeline = Pipeline(DATA)
    whole = list(pipeline.epoch(16, epoch=1, seed=9))
    rest = list(Pipeline(DATA).epoch(16, epoch=1, seed=9, first=3))
    assert len(rest) == len(whole) - 3 == 2
    for (x, y), (u, v) in zip(rest, whole[3:], strict=True):
        assert torch.equal(x, u) and torch.equal(y, v)


def test_every_epoch_and_seed_has_an_order_of_its_own():
    pipeline = Pipeline(DATA)
    plans = [pipeline.plan(epoch=epoch, seed=seed) for epoch, seed in ((0, 0), (1, 0), (0, 1), (1, 1))]
    for plan in plans:
        assert torch.equal(plan.order.sort().values, torch.arange(70))
    for name in ("order", "top", "left", "flip"):
        assert len({tuple(getattr(plan, name).tolist()) for plan in plans}) == 4
    assert torch.equal(pipeline.plan(epoch=1, seed=0).order, plans[1].order)


def test_crops_and_mirror_images_are_uniform():
    """Counts of 9 x 9 offsets and 2 directions over 200 epochs, within five standard deviations of uniform."""
    pipeline = Pipeline(DATA)
    plans = [pipeline.plan(epoch=epoch, seed=0) for epoch in range(200)]
    top, left, flip = (torch.cat([getattr(plan, name) for plan in plans]).numpy() for name in ("top", "left", "flip"))
    cells = np.bincount((top * 9 + left) * 2 + flip, minlength=162)
    assert len(cells) == 162
    expected = len(top) / 162
    assert abs(cells - expected).max() < 5 * np.sqrt(expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("channels_last", [True, False])
def test_dtype_and_memory_format(dtype, channels_last):
    pipeline = Pipeline(DATA, dtype=dtype, channels_last=channels_last)
    wanted = torch.channels_last if channels_last else torch.contiguous_format
    reference = [x for x, _ in Pipeline(DATA).epoch(32, epoch=0, seed=0)]
    for (x, y), expected in zip(pipeline.epoch(32, epoch=0, seed=0), reference, strict=True):
        assert x.dtype == dtype and y.dtype == torch.int64 and x.shape[1:] == (3, 32, 32)
        assert x.is_contiguous(memory_format=wanted)
        assert torch.equal(x, expected.to(dtype))
    (x, _), *_ = pipeline.test_batches(5)
    assert x.dtype == dtype and x.is_contiguous(memory_format=wanted)


def test_the_set_stays_as_it_is():
    cifar = synthetic(train=20, test=10)
    before = cifar.train_images.copy()
    for x, _ in Pipeline(cifar).epoch(20, epoch=0, seed=0):
        x.zero_()
    np.testing.assert_array_equal(cifar.train_images, before)
    assert repr(Pipeline(cifar)) == "Pipeline of 20 images, cropped and mirrored, torch.float32 on cpu"


GREY = Cifar.of(
    "grey",
    (np.full((2, 3, 32, 32), 7, np.uint8), np.arange(2)),
    (np.full((2, 3, 32, 32), 7, np.uint8), np.arange(2)),
    classes=2,
)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: Pipeline(DATA, preprocessing="zca"), ChoiceError, "must be one of 'pixel_mean', 'mean_std'"),
        (lambda: Pipeline(DATA, pixel_scale=0.0), DomainError, "pixel_scale must be > 0"),
        (lambda: Pipeline(DATA, pixel_scale=float("nan")), NonFiniteError, "pixel_scale must be finite"),
        (lambda: Pipeline(DATA, dtype=torch.int64), DtypeError, "dtype must be a floating-point dtype"),
        (lambda: Pipeline(DATA, dtype="float32"), DtypeError, "dtype must be a floating-point dtype of torch"),
        (lambda: Pipeline("cifar10"), DtypeError, "cifar must be a Cifar: got str"),
        (lambda: Pipeline(GREY, preprocessing="mean_std"), DomainError, "images must vary in every channel"),
        (lambda: next(Pipeline(DATA).epoch(0, epoch=0, seed=0)), DomainError, "batch_size must be at least 1"),
        (lambda: next(Pipeline(DATA).epoch(8, epoch=-1, seed=0)), DomainError, "epoch must be at least 0"),
        (lambda: next(Pipeline(DATA).epoch(8, epoch=0, seed=-1)), DomainError, "seed must be at least 0"),
        (lambda: next(Pipeline(DATA).epoch(8, epoch=0, seed=0.5)), DtypeError, "seed must be a whole number"),
        (lambda: next(Pipeline(DATA).epoch(8, epoch=0, seed=0, first=-1)), DomainError, "first must be at least 0"),
        (lambda: next(Pipeline(DATA).test_batches(0)), DomainError, "size must be at least 1"),
    ],
)
def test_mistakes_are_named(call, error, match):
    with pytest.raises(error, match=match):
        call()
