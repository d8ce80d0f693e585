"""One run, described completely: every choice that the paper states or leaves open is a field."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from nlmodel._arrays import check_choice, check_count, check_number
from nlmodel.errors import ChoiceError, DomainError, DtypeError, FileError
from nlmodel.nn.block import check_w_init
from nlmodel.nn.choices import AFFINITIES, check_normalization


SCHEMA = 1
CHOICES = {
    "dataset": ("cifar10", "cifar100", "synthetic"),
    "unit": ("bottleneck", "basic"),
    "stride_at": ("3x3", "1x1"),
    "shortcut": ("raw", "preactivated"),
    "form": ("baseline", "original", "proposed"),
    "places": ("same", "different"),
    "affinity": AFFINITIES,
    "preprocessing": ("pixel_mean", "mean_std"),
    "precision": ("float32", "tf32", "bfloat16"),
}
COUNTS = {"epochs": 1, "batch_size": 1, "warmup_iterations": 0, "evaluate_every": 1}
OPTIONAL_COUNTS = {"train_images": 1, "test_images": 1, "inner": 1}
POSITIVE = ("lr", "gamma", "step", "pixel_scale")
SWITCHES = ("symmetric", "nesterov", "augment", "channels_last", "compile")
MOST_BLOCKS = 6


@dataclass(frozen=True)
class RunConfig:
    """A run of Tao et al. 2018, sections 3 and 5, or a variation of one.  "open" marks what the paper does not say.

    Attributes
    ----------
    dataset : "cifar10", "cifar100", or "synthetic", a stand-in that is named as such everywhere.
    train_images, test_images : None for all, or a fixed subset with equal classes.
    depth, unit : 20 and 56; "bottleneck" (9n + 2 layers) or "basic" (6n + 2); the unit is open, but W_Z of 64 x 32
        after the second unit exists for the bottleneck only.
    stride_at, shortcut : open.  The stride in the "3x3" or the first "1x1" convolution; the projection from the "raw"
        input of a unit or from the "preactivated" one.
    form, blocks : "baseline", "original" blocks, eqs (1)-(4), or one "proposed" stage, eqs (8)-(9), of so many.
    places : "same", one after another behind the second unit, or "different", spread evenly over the units.
    affinity, normalize, scale, symmetric, inner, subsample, norm, w_init, step : open; as in `nlmodel.nn.NonlocalBlock`
        and `NonlocalStage`.  He's law for W_Z, because with W_Z = 0 the four original blocks would start as the
        baseline, while the paper's did not converge.
    epochs, batch_size, lr, milestones, gamma, momentum, weight_decay : the paper's; the batch follows from "32k and 48k
        iterations" at epochs 81 and 122.
    warmup_iterations, nesterov : open.
    preprocessing, pixel_scale : the paper subtracts the mean of each pixel; open is whether pixels are in [0, 1]
        (1.0) or [0, 255] (255.0).  "mean_std" standardises each colour.
    augment : padding by four, a random crop, a random flip.
    precision, channels_last, compile : how the arithmetic is done.
    evaluate_every : epochs between two looks at the test images; the last epoch always has one.
    """

    dataset: str = "cifar10"
    train_images: int | None = None
    test_images: int | None = None
    depth: int = 20
    unit: str = "bottleneck"
    stride_at: str = "3x3"
    shortcut: str = "raw"
    form: str = "baseline"
    blocks: int = 0
    places: str = "same"
    affinity: str = "embedded_gaussian"
    normalize: str | None = None
    scale: bool | float = False
    symmetric: bool = False
    inner: int | None = None
    subsample: str | None = None
    norm: str | None = None
    w_init: str | float = "he"
    step: float = 1.0
    epochs: int = 164
    batch_size: int = 128
    lr: float = 0.1
    milestones: tuple[int, ...] = (81, 122)
    gamma: float = 0.1
    warmup_iterations: int = 0
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 1e-4
    preprocessing: str = "pixel_mean"
    pixel_scale: float = 1.0
    augment: bool = True
    precision: str = "float32"
    channels_last: bool = True
    compile: bool = False
    evaluate_every: int = 1

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            check_choice(getattr(self, name), name, choices)
        for name, least in COUNTS.items():
            check_count(getattr(self, name), name, at_least=least)
        for name, least in OPTIONAL_COUNTS.items():
            if getattr(self, name) is not None:
                check_count(getattr(self, name), name, at_least=least)
        for name in POSITIVE:
            object.__setattr__(self, name, check_number(getattr(self, name), name, above=0.0))
        for name in ("momentum", "weight_decay"):
            object.__setattr__(self, name, check_number(getattr(self, name), name, at_least=0.0))
        for name in SWITCHES:
            if not isinstance(getattr(self, name), bool):
                raise DtypeError(f"{name} must be true or false", got=repr(getattr(self, name)))
        if self.pixel_scale not in (1.0, 255.0):
            raise DomainError("pixel_scale must be 1.0 or 255.0", got=self.pixel_scale, why="the largest pixel value")
        self._check_schedule()
        self._check_network()

    def _check_schedule(self) -> None:
        given = self.milestones
        milestones = tuple(check_count(epoch, "every milestone", at_least=1) for epoch in given)
        if list(milestones) != sorted(set(milestones)):
            raise DomainError("milestones must increase", got=given, why="the rate falls after each of these epochs")
        object.__setattr__(self, "milestones", milestones)
        if self.nesterov and self.momentum == 0.0:
            raise DomainError("Nesterov's form needs momentum", got="nesterov=True with momentum=0")

    def _check_network(self) -> None:
        per = {"bottleneck": 9, "basic": 6}[self.unit]
        if (check_count(self.depth, "depth", at_least=per + 2) - 2) % per:
            raise DomainError(
                f"depth must be {per}n + 2 with {self.unit} units",
                got=self.depth,
                fix=f"take {self.depth - (self.depth - 2) % per} or {self.depth + per - (self.depth - 2) % per}",
            )
        blocks = check_count(self.blocks, "blocks")
        if (blocks == 0) != (self.form == "baseline") or blocks > MOST_BLOCKS:
            raise DomainError(
                f"blocks must be 0 for the baseline and 1 to {MOST_BLOCKS} otherwise",
                got=f"form={self.form!r}, blocks={blocks}",
            )
        check_w_init(self.w_init)
        check_normalization(self.affinity, self.normalize, square=self.subsample is None)
        if self.form == "proposed" and (self.norm, self.subsample) != (None, None):
            raise DomainError(
                "the proposed stage has neither norm layers nor subsampling",
                got=f"norm={self.norm!r}, subsample={self.subsample!r}",
                why="eq. (8) compares all positions with each other, and is a polynomial in the affinity without norms",
            )

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> RunConfig:
        """From names and values; ChoiceError names those that do not exist."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ChoiceError(
                "a configuration has no such field",
                got=", ".join(map(repr, unknown)),
                fix=f"choose among {', '.join(sorted(known))}",
            )
        tuples = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return cls(**{**values, **tuples})

    @classmethod
    def from_toml(cls, source: Path | str) -> RunConfig:
        """From a TOML file (a `Path`) or a TOML text; FileError when it is neither."""
        return cls.from_mapping(read_toml(source))

    def with_(self, **changes: Any) -> RunConfig:
        """The same with some fields changed."""
        return RunConfig.from_mapping({**asdict(self), **changes}) if changes else replace(self)

    def canonical_json(self) -> str:
        """One line that is the same for equal configurations: names in order, numbers at full length."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, sort_keys=True, separators=(",", ":"), allow_nan=False)

    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()

    @property
    def slug(self) -> str:
        """What the run is, in a few letters: "proposed4-preres20-cifar10"."""
        head = self.form if self.form == "baseline" else f"{self.form}{self.blocks}"
        return f"{head}-preres{self.depth}-{self.dataset}"


def run_id(config: RunConfig, seed: int) -> str:
    """The name of a run: what it is, ten digits of its configuration's hash, its seed."""
    return f"{config.slug}-{config.digest()[:10]}-s{check_count(seed, 'seed')}"


def read_toml(source: Path | str) -> dict[str, Any]:
    """The tables of a TOML file (a `Path`) or text."""
    name = source.name if isinstance(source, Path) else "the text"
    try:
        return tomllib.loads(source.read_text(encoding="utf-8") if isinstance(source, Path) else source)
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"{name} cannot be read", got=str(error)) from error
    except tomllib.TOMLDecodeError as error:
        raise FileError(f"{name} is not TOML", got=str(error)) from error
