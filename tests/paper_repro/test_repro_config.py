"""A configuration is checked when it is made, and equal ones have one hash."""

import json
from dataclasses import FrozenInstanceError, asdict, fields
from typing import Any

import pytest

from nlmodel.errors import ChoiceError, DomainError, DtypeError, FileError, NlmodelError, NonFiniteError
from paper_repro.config import RunConfig, run_id


TOML = 'form = "proposed"\nblocks = 4\nlr = 0.1\nmilestones = [81, 122]\n'


def test_the_papers_recipe_is_the_default():
    config = RunConfig()
    assert (config.epochs, config.batch_size, config.lr, config.milestones) == (164, 128, 0.1, (81, 122))
    assert (config.momentum, config.weight_decay, config.preprocessing) == (0.9, 1e-4, "pixel_mean")


def test_the_hash_knows_values_and_not_their_order():
    config = RunConfig.from_toml(TOML)
    turned = RunConfig.from_toml("\n".join(reversed(TOML.splitlines())))
    assert config == turned == RunConfig(form="proposed", blocks=4)
    assert config.digest() == turned.digest() and config.canonical_json() == turned.canonical_json()
    assert RunConfig.from_mapping(asdict(config)) == config
    assert RunConfig(lr=1).digest() == RunConfig(lr=1.0).digest()


@pytest.mark.parametrize("field", [f.name for f in fields(RunConfig)])
def test_every_field_is_in_the_hash(field):
    other: dict[str, Any] = {
        "dataset": "cifar100", "train_images": 10, "test_images": 10, "depth": 56, "unit": "basic",
        "stride_at": "1x1", "shortcut": "preactivated", "form": "proposed", "blocks": 3, "places": "different",
        "affinity": "gaussian", "normalize": "row", "scale": True, "symmetric": True, "inner": 3,
        "subsample": "after", "norm": "batch", "w_init": 0.01, "step": 0.5, "epochs": 3, "batch_size": 4, "lr": 0.2,
        "milestones": [1], "gamma": 0.5, "warmup_iterations": 4, "momentum": 0.5, "nesterov": True,
        "weight_decay": 0.0, "preprocessing": "mean_std", "pixel_scale": 255.0, "augment": False,
        "precision": "bfloat16", "channels_last": False, "compile": True, "evaluate_every": 2,
    }  # fmt: skip
    base = RunConfig(form="original", blocks=2)
    changed = base.with_(**{field: other[field]})
    assert changed.digest() != base.digest() and changed != base
    assert base.with_() == base


def test_the_canonical_form_is_json_with_a_schema():
    known = json.loads(RunConfig().canonical_json())
    assert known["schema"] == 1 and known["milestones"] == [81, 122]


def test_the_name_of_a_run():
    config = RunConfig(form="original", blocks=2)
    assert run_id(config, 3) == f"original2-preres20-cifar10-{config.digest()[:10]}-s3"
    assert run_id(RunConfig(), 0).startswith("baseline-preres20-cifar10-")
    assert run_id(config, 3) != run_id(config, 4) != run_id(RunConfig(), 4)


def test_frozen():
    with pytest.raises(FrozenInstanceError):
        RunConfig().lr = 1.0  # pyright: ignore[reportAttributeAccessIssue]


REFUSED: list[tuple[dict[str, Any], type[NlmodelError], str]] = [
    ({"rate": 0.1}, ChoiceError, "'rate'.*\n.*lr"),
    ({"dataset": "mnist"}, ChoiceError, "cifar10"),
    ({"unit": "wide"}, ChoiceError, "bottleneck"),
    ({"affinity": "cosine"}, ChoiceError, "gaussian"),
    ({"precision": "float16"}, ChoiceError, "bfloat16"),
    ({"form": "original", "blocks": 2, "affinity": "dot_product", "normalize": "softmax"}, ChoiceError, "softmax"),
    ({"depth": 21}, DomainError, "9n \\+ 2.*\n.*20 or 29"),
    ({"depth": 20, "unit": "basic", "blocks": 1}, DomainError, "baseline"),
    ({"depth": 18, "unit": "basic"}, DomainError, "6n \\+ 2"),
    ({"depth": 2}, DomainError, "depth"),
    ({"form": "original"}, DomainError, "1 to 6"),
    ({"form": "original", "blocks": 7}, DomainError, "1 to 6"),
    ({"form": "proposed", "blocks": 2, "norm": "batch"}, DomainError, "norm layers"),
    ({"form": "proposed", "blocks": 2, "subsample": "after"}, DomainError, "subsampling"),
    ({"epochs": 0}, DomainError, "epochs"),
    ({"epochs": 1.5}, DtypeError, "epochs"),
    ({"train_images": 0}, DomainError, "train_images"),
    ({"lr": 0.0}, DomainError, "lr"),
    ({"lr": "fast"}, DtypeError, "lr"),
    ({"lr": float("nan")}, NonFiniteError, "lr"),
    ({"weight_decay": -1.0}, DomainError, "weight_decay"),
    ({"milestones": [5, 5]}, DomainError, "increase"),
    ({"milestones": [0]}, DomainError, "milestone"),
    ({"nesterov": True, "momentum": 0.0}, DomainError, "momentum"),
    ({"augment": 1}, DtypeError, "augment"),
    ({"pixel_scale": 2.0}, DomainError, "1.0 or 255.0"),
    ({"w_init": "one"}, ChoiceError, "zero"),
]


@pytest.mark.parametrize(("values", "error", "message"), REFUSED)
def test_refusals(values: dict[str, Any], error: type[NlmodelError], message: str):
    with pytest.raises(error, match=message):
        RunConfig.from_mapping(values)


def test_files_that_are_no_configurations(tmp_path):
    with pytest.raises(FileError, match="the text is not TOML"):
        RunConfig.from_toml("lr = ")
    with pytest.raises(FileError, match=r"none\.toml cannot be read"):
        RunConfig.from_toml(tmp_path / "none.toml")
    path = tmp_path / "run.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(FileError, match="cannot be read"):
        RunConfig.from_toml(path)
    path.write_text(TOML)
    assert RunConfig.from_toml(path) == RunConfig.from_toml(TOML)
    with pytest.raises(DtypeError, match="whole number"):
        run_id(RunConfig(), 0.5)  # pyright: ignore[reportArgumentType]
