"""From the set to the batches that a network sees: normalised, cropped, mirrored, in a new order each epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nlmodel._arrays import check_choice, check_count, check_number
from nlmodel.errors import DtypeError
from paper_repro.data.cifar import Cifar
from paper_repro.data.crop import PAD, crop
from paper_repro.data.normalization import PREPROCESSING, normalization


@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """The order of one epoch and the crop of every image in it: int64 tensors (n,), and `flip` of dtype bool."""

    order: Tensor
    top: Tensor
    left: Tensor
    flip: Tensor


class Pipeline:
    """The whole set on one device, as bytes, and the batches made from it there.

        x = (pixel - mean) factor,   zero outside the image,   cropped at random from 40 x 40, mirrored at random

    with the mean over the training images subtracted before the padding (He et al. 2016, section 4.2), so that the
    border has the mean's colour. All that is random follows from (seed, epoch): an epoch is the same whatever the
    batch size, the device, and whether the run was interrupted before it.

    Parameters
    ----------
    cifar : the set; its training images define the mean.
    preprocessing : "pixel_mean", one mean for each pixel and channel, or "mean_std", mean and standard deviation of
        each channel.
    pixel_scale : what a pixel of 255 is taken for before that: 1.0 or 255.0, any number above 0.
    augment : crop and mirror; False leaves the images as they are, in the same order.
    device, dtype : of the batches, a floating-point dtype. The arithmetic is in float32, rounded once at the end.
    channels_last : memory format of the batches; their shape is (batch, 3, 32, 32) either way.

    Cost: 3 KB an image on the device; about 2 ms for a batch of 128 on one core of a CPU.
    """

    def __init__(
        self,
        cifar: Cifar,
        *,
        preprocessing: str = "pixel_mean",
        pixel_scale: float = 1.0,
        augment: bool = True,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        channels_last: bool = True,
    ):
        check_choice(preprocessing, "preprocessing", PREPROCESSING)
        scale = check_number(pixel_scale, "pixel_scale", above=0)
        if not isinstance(cifar, Cifar):
            raise DtypeError("cifar must be a Cifar", got=type(cifar).__name__, fix="pass load(...) or synthetic(...)")
        if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
            raise DtypeError("dtype must be a floating-point dtype of torch", got=repr(dtype))
        self.device, self.dtype, self.augment, self.channels_last = torch.device(device), dtype, augment, channels_last
        mean, factor = normalization(cifar.train_images, preprocessing, scale)
        self.mean = rows(mean, self.device)  # (32, 32, 3), in units of one byte
        self.factor = torch.tensor(factor, device=self.device)  # (3,)
        self.train_images, self.test_images = (rows(x, self.device) for x in (cifar.train_images, cifar.test_images))
        self.train_labels = torch.tensor(cifar.train_labels, device=self.device)
        self.test_labels = torch.tensor(cifar.test_labels, device=self.device)

    def __repr__(self) -> str:
        kind = "cropped and mirrored" if self.augment else "as they are"
        return f"Pipeline of {len(self.train_labels)} images, {kind}, {self.dtype} on {self.device}"

    def steps(self, batch_size: int) -> int:
        """Batches an epoch; the last may be smaller than the others."""
        return -(-len(self.train_labels) // check_count(batch_size, "batch_size", at_least=1))

    def plan(self, *, epoch: int, seed: int) -> Plan:
        """Order and crops of one epoch, drawn on the CPU from (seed, epoch)."""
        rng = np.random.default_rng([check_count(seed, "seed"), check_count(epoch, "epoch")])
        n = len(self.train_labels)
        order = rng.permutation(n)
        top, left = rng.integers(0, 2 * PAD, size=(2, n), endpoint=True)
        flip = rng.integers(0, 1, size=n, endpoint=True).astype(bool)
        return Plan(*(torch.from_numpy(x).to(self.device) for x in (order, top, left, flip)))

    def epoch(self, batch_size: int, *, epoch: int, seed: int, first: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches (x, labels) of one epoch, from batch `first` on; every image occurs once.

        Raises `DomainError` for a batch size below 1 or a negative epoch, seed or `first`.
        """
        steps, plan = self.steps(batch_size), self.plan(epoch=epoch, seed=seed)
        for step in range(check_count(first, "first"), steps):
            yield self.batch(plan, step * batch_size, (step + 1) * batch_size)

    def batch(self, plan: Plan, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Images start, ..., stop - 1 of the plan's order, and their labels: tensor operations only, no wait."""
        part = slice(start, stop)
        return self.gather(plan.order[part], plan.top[part], plan.left[part], plan.flip[part])

    def gather(self, order: Tensor, top: Tensor, left: Tensor, flip: Tensor) -> tuple[Tensor, Tensor]:
        """The training images `order`, cropped at (top, left) and mirrored where `flip`, and their labels."""
        x = self.normalized(self.train_images[order])
        x = crop(x, top, left, flip) if self.augment else x
        return self.batched(x), self.train_labels[order]

    def test_batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The test images in their order, as they are, and their labels, `size` at a time."""
        check_count(size, "size", at_least=1)
        for start in range(0, len(self.test_labels), size):
            x = self.normalized(self.test_images[start : start + size])
            yield self.batched(x), self.test_labels[start : start + size]

    def normalized(self, pixels: Tensor) -> Tensor:
        """(pixel - mean) factor, in float32."""
        return (pixels - self.mean) * self.factor

    def batched(self, x: Tensor) -> Tensor:
        """(n, 32, 32, 3) as (n, 3, 32, 32) in the wanted dtype and memory format."""
        x = x.to(self.dtype).permute(0, 3, 1, 2)
        return x if self.channels_last else x.contiguous()


def rows(array: np.ndarray, device: torch.device) -> Tensor:
    """(..., 3, 32, 32) as (..., 32, 32, 3) on the device: the three channels of a pixel lie together."""
    return torch.from_numpy(np.moveaxis(array, -3, -1).copy()).to(device)
