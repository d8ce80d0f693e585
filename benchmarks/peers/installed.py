"""Where the peers are installed: a folder of their own in the environment, which nothing but a benchmark looks into."""

from __future__ import annotations

import importlib
import sys
import warnings
from importlib import metadata
from pathlib import Path
from types import ModuleType

import torch


FOLDER = Path(sys.prefix) / "peers"
DISTRIBUTIONS = {
    "mmcv": "mmcv-lite",
    "timm": "timm",
    "skimage": "scikit-image",
    "cv2": "opencv-python-headless",
    "pykeops": "pykeops",
    "sklearn": "scikit-learn",
    "pygsp": "pygsp",
    "deeptime": "deeptime",
}


class MissingPeer(Exception):
    """A peer that cannot be imported, and why."""


def require(name: str) -> ModuleType:
    """Import a module of a peer.

    Raises  MissingPeer: it is not installed, or does not load.
    """
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))  # behind the environment's own packages, which it must not replace
    if name.startswith("timm"):
        _declare_torchvision()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a peer does at its import is not ours to change
            return importlib.import_module(name)
    except ImportError as error:
        peer = name.split(".")[0]
        missing = isinstance(error, ModuleNotFoundError) and error.name == peer
        raise MissingPeer(f"{peer} is not installed" if missing else f"{peer} does not load: {error}") from error


def versions() -> dict[str, str]:
    """The installed version of every peer, or that it is missing."""
    path = [*sys.path, str(FOLDER)]
    found = {name: list(metadata.distributions(name=title, path=path)) for name, title in DISTRIBUTIONS.items()}
    return {name: there[0].version if there else "not installed" for name, there in found.items()}


def _declare_torchvision() -> None:
    """timm imports torchvision, whose compiled part does not load beside the CPU build of torch: declare what it asks
    for at its import, and timm never calls."""
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float threshold) -> Tensor")
