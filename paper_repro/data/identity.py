"""Which images a set holds, whatever their order: one digest an image, one fingerprint a set."""

from __future__ import annotations

import hashlib

import numpy as np


def image_digests(images: np.ndarray, labels: np.ndarray) -> list[bytes]:
    """SHA-256 of every image with its label: sha256(label byte, then the pixels in C order).

    Parameters
    ----------
    images : uint8 array (n, 3, 32, 32).
    labels : integer array (n,), entries below 256.

    Cost: n hashes of 3073 bytes, a third of a second for 60,000 images.
    """
    content = np.ascontiguousarray(images)
    return [hashlib.sha256(bytes([k]) + image.tobytes()).digest() for k, image in zip(labels, content, strict=True)]


def canonical_order(digests: list[bytes]) -> np.ndarray:
    """The permutation that sorts the images by digest, the same for every copy of a set."""
    return np.array(sorted(range(len(digests)), key=digests.__getitem__), dtype=np.int64)


def fingerprint(digests: list[bytes]) -> str:
    """SHA-256 of the sorted digests: unchanged by any reordering, changed by any pixel or label."""
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()


def joint_fingerprint(train: str, test: str) -> str:
    """Fingerprint of a whole set from those of its two splits."""
    return hashlib.sha256(f"{train} {test}".encode()).hexdigest()
