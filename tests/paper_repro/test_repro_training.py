"""Runs from the outside: the same twice, paused and resumed, diverged, and refused."""

import dataclasses
import json
import math
from importlib import import_module
from typing import Any

import pytest
import torch

from nlmodel.errors import ChoiceError, DomainError, DtypeError, FileError, NonFiniteError
from paper_repro.training import COLUMNS, learning_rate, load_result, train, train_together, verdict
from paper_repro.training.checkpoint import Owner, load_checkpoint, save_checkpoint
from paper_repro.training.divergence import stuck_at_chance, with_context
from paper_repro.training.observe import is_logged
from tests.paper_repro.training_cases import IMAGES, NONLOCAL, QUIET, TINY, folder_of, lines, traces


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    out = tmp_path_factory.mktemp("straight")
    return out, train(NONLOCAL, seed=0, out=out, **QUIET)


def test_a_run_leaves_its_files_and_its_result(straight):
    out, result = straight
    folder = folder_of(NONLOCAL, out)
    names = {"config.json", "environment.json", "log.csv", "spectra.jsonl", "checkpoint.pt", "weights.safetensors"}
    assert {path.name for path in folder.iterdir()} == names | {"result.json"}
    assert (folder / "log.csv").read_text().splitlines()[0] == ",".join(COLUMNS)
    assert [line["epoch"] for line in lines(folder)] == ["1", "2", "3"]
    assert [line["lr"] for line in lines(folder)] == ["0.05", "0.05", "0.005"]
    spectra = [json.loads(line) for line in (folder / "spectra.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in spectra] == [0, 1, 2, 3]
    assert load_result(folder) == result and result.done and "finished after 3 epochs" in repr(result)
    assert (result.status, result.epochs_done, result.threads, result.processes) == ("finished", 3, 1, 1)
    assert result.best_error == min(float(line["test_error"]) for line in lines(folder))
    (start,) = json.loads((folder / "environment.json").read_text())
    assert start["device"] == "cpu" and {"torch", "torch threads", "python"} <= start.keys()


def test_pauses_after_every_step_change_nothing(straight, tmp_path):
    out, _ = straight
    paused = 0
    while (result := train(NONLOCAL, seed=0, out=tmp_path, time_limit=1e-9, **QUIET)).status == "paused":
        assert load_result(folder_of(NONLOCAL, tmp_path)) == result and not result.done
        paused += 1
    assert paused == 8  # of nine steps
    assert traces(folder_of(NONLOCAL, tmp_path)) == traces(folder_of(NONLOCAL, out))


def test_the_same_run_leaves_the_same_bytes_beside_another_seed_too(straight, tmp_path):
    out, _ = straight
    results = train_together(NONLOCAL, seeds=[1, 0], out=tmp_path, **QUIET)
    assert [result.seed for result in results] == [1, 0]
    again, other = (traces(folder_of(NONLOCAL, tmp_path, seed)) for seed in (0, 1))
    assert again == traces(folder_of(NONLOCAL, out))
    assert other["weights"] != again["weights"] and other["log"] != again["log"]  # control


def test_a_run_that_is_done_is_not_trained_again(straight, monkeypatch):
    out, result = straight
    monkeypatch.setattr(import_module("paper_repro.training.train"), "Run", None)
    assert train(NONLOCAL, seed=0, out=out, **QUIET) == result


def test_resume_false_starts_anew(tmp_path):
    short = TINY.with_(epochs=1)
    train(short, seed=0, out=tmp_path, time_limit=1e-9, **QUIET)
    (folder_of(short, tmp_path) / "checkpoint.pt").write_bytes(b"damaged")
    assert train(short, seed=0, out=tmp_path, resume=False, **QUIET).status == "finished"


def test_divergence_is_a_result_with_its_reason(tmp_path):
    result = train(NONLOCAL.with_(lr=1e12), seed=0, out=tmp_path, **QUIET)
    assert (result.status, result.epochs_done, result.final_error) == ("diverged", 0, None)
    assert result.reason is not None
    assert "the loss is not finite (epoch 1, step" in result.reason and "stage2.nonlocal2[1] 0" in result.reason
    assert train(NONLOCAL.with_(lr=1e12), seed=0, out=tmp_path, **QUIET) == result


# ---------------------------------------------------------------------- checkpoints


@pytest.fixture
def paused(tmp_path):
    """The folder of a run that was paused after its first step."""
    train(TINY, seed=0, out=tmp_path, time_limit=1e-9, **QUIET)
    return folder_of(TINY, tmp_path)


def owner(folder) -> Owner:
    return Owner(folder.name, TINY.digest(), IMAGES.fingerprint, 1)


def test_a_checkpoint_without_momentum_gives_other_weights(paused, tmp_path):
    """Control of every comparison of bytes above: they see what is lost."""
    loaded = load_checkpoint(paused / "checkpoint.pt", owner(paused))
    assert loaded is not None
    progress, tensors = loaded
    lost = {name: torch.zeros_like(t) if name.startswith("momentum") else t for name, t in tensors.items()}
    save_checkpoint(paused / "checkpoint.pt", owner(paused), progress, lost)
    train(TINY, seed=0, out=tmp_path, **QUIET)
    train(TINY, seed=0, out=tmp_path / "straight", **QUIET)
    assert traces(paused)["weights"] != traces(folder_of(TINY, tmp_path / "straight"))["weights"]


def flip_a_byte(blob: bytes) -> bytes:
    return blob[:-1000] + bytes([blob[-1000] ^ 1]) + blob[-999:]


class Bomb:
    """What a pickle can carry: a call that is made by loading it."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


DAMAGES = {
    "cut off": (lambda blob: blob[:-1], "SHA-256 .*, expected"),
    "a flipped byte": (flip_a_byte, "SHA-256 .*, expected"),
    "empty": (lambda blob: b"", "a file of another program"),
    "a foreign file": (lambda blob: b"PK\x03\x04" + blob, "a file of another program"),
    "a line without end": (lambda blob: b"x" * 10_000, "a file of another program"),
    "a newer version": (lambda blob: blob.replace(b'checkpoint": 1', b'checkpoint": 2', 1), "version 2, this program"),
    "another configuration": (
        lambda blob: blob.replace(TINY.digest().encode(), b"0" * 64, 1),
        "config_digest '0000.*this run has",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_and_foreign_checkpoints_are_refused_and_kept(paused, tmp_path, damage):
    change, message = DAMAGES[damage]
    changed = change((paused / "checkpoint.pt").read_bytes())
    (paused / "checkpoint.pt").write_bytes(changed)
    with pytest.raises(FileError, match=message) as error:
        train(TINY, seed=0, out=tmp_path, **QUIET)
    assert f"{paused.name}/checkpoint.pt" in str(error.value) and "delete the folder" in str(error.value)
    assert (paused / "checkpoint.pt").read_bytes() == changed


def test_a_checkpoint_that_would_run_code_is_refused(paused, tmp_path):
    loaded = load_checkpoint(paused / "checkpoint.pt", owner(paused))
    assert loaded is not None
    progress, tensors = loaded
    bomb: Any = tensors | {"totals": Bomb(tmp_path / "pwned")}
    save_checkpoint(paused / "checkpoint.pt", owner(paused), progress, bomb)
    with pytest.raises(FileError, match="UnpicklingError"):
        train(TINY, seed=0, out=tmp_path, **QUIET)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda now, tensors: tensors.pop("totals"), "1 that differ, the first totals"),
        (lambda now, tensors: tensors.update(totals=torch.zeros(2)), "1 that differ, the first totals"),
        (lambda now, tensors: tensors.update(totals=3.0), "1 that differ, the first totals"),
        (lambda now, tensors: setattr(now, "epoch", 2), "0 lines of the log for 2 epochs"),
        (lambda now, tensors: setattr(now, "step", -1), "step = -1"),
        (lambda now, tensors: setattr(now, "step", 1000), "step 1000 of epochs of 3"),
    ],
)
def test_checkpoints_of_another_shape_are_refused(paused, tmp_path, change, message):
    loaded = load_checkpoint(paused / "checkpoint.pt", owner(paused))
    assert loaded is not None
    change(*loaded)
    save_checkpoint(paused / "checkpoint.pt", owner(paused), *loaded)
    with pytest.raises(FileError, match=message):
        train(TINY, seed=0, out=tmp_path, **QUIET)


def test_a_folder_of_another_configuration_is_refused(paused, tmp_path):
    (paused / "config.json").write_text(TINY.with_(lr=0.3).canonical_json())
    with pytest.raises(FileError, match=r"config\.json must be the configuration of this run"):
        train(TINY, seed=0, out=tmp_path, **QUIET)
    (paused / "result.json").write_text("[]")
    with pytest.raises(FileError, match=r"result\.json must hold the result of a run"):
        load_result(paused)


# ---------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"seed": -1}, DomainError, "seed must be at least 0"),
        ({"seed": 1.5}, DtypeError, "seed must be a whole number"),
        ({"time_limit": 0}, DomainError, "time_limit must be > 0"),
        ({"time_limit": math.nan}, NonFiniteError, "time_limit must be finite"),
        ({"checkpoint_every": -1}, DomainError, "checkpoint_every must be >= 0"),
        ({"device": "tpu"}, ChoiceError, "device must be"),
        ({"device": "cuda:7"}, ChoiceError, "the device must be there"),
        ({"config": TINY.with_(precision="tf32")}, ChoiceError, 'precision="tf32" needs a GPU'),
        ({"config": TINY.with_(dataset="cifar10")}, DomainError, "synthetic-cifar10 for dataset = 'cifar10'"),
        ({"config": TINY.with_(train_images=50)}, DomainError, "train_images"),
    ],
)
def test_bad_arguments(tmp_path, changes, error, message):
    arguments = {"config": TINY, "seed": 0, "out": tmp_path, **QUIET, **changes}
    with pytest.raises(error, match=message):
        train(arguments.pop("config"), **arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seeds", [[], [1, 1]])
def test_seeds_in_turns_must_differ(tmp_path, seeds):
    with pytest.raises(DomainError, match="each seed must be named once"):
        train_together(TINY, seeds=seeds, out=tmp_path, **QUIET)


# ---------------------------------------------------------------------- rules


def test_the_schedule_of_the_paper():
    recipe = TINY.with_(epochs=164, milestones=(81, 122), lr=0.1)
    rates = [learning_rate(recipe, epoch, 400) for epoch in (0, 80, 81, 121, 122, 163)]
    assert [f"{rate:.6g}" for rate in rates] == ["0.1", "0.1", "0.01", "0.01", "0.001", "0.001"]
    warm = recipe.with_(warmup_iterations=400)
    assert [f"{learning_rate(warm, 0, i):.6g}" for i in (0, 399, 400)] == ["0.01", "0.01", "0.1"]


def test_the_epochs_of_the_papers_figures_are_logged():
    recipe = TINY.with_(epochs=164, milestones=(81, 122))
    logged = [epoch for epoch in range(165) if is_logged(recipe, epoch)]
    assert {0, 1, 36, 81, 82, 122, 123, 125, 164} <= set(logged) and len(logged) < 30
    assert all(is_logged(TINY, epoch) for epoch in range(4))


FINE = {"classes": 10, "planned": 40, "norm": 2.0, "norm_at_start": 1.0, "features": {"stage1": 1.0}}
CHANCE = math.log(10)


@pytest.mark.parametrize(
    ("losses", "changes", "reason"),
    [
        ([math.nan], {}, "the loss is not finite"),
        ([1.0], {"norm": math.inf}, "weights are not finite"),
        ([1.0], {"norm": 2e3}, "the norm of the weights has grown from 1 to 2e"),
        ([1.0], {"features": {"stage1": 1e16}}, "the features after stage1 have the mean square 1e"),
        ([1.0], {"features": {"stage1": math.nan}}, "the features after stage1"),
        ([CHANCE] * 10, {}, "the loss has stayed at that of a guess, 2.3"),
    ],
)
def test_verdicts(losses, changes, reason):
    assert verdict(losses, **{**FINE, **changes}).startswith(reason)  # pyright: ignore
    assert verdict([1.0], **FINE) is None  # control


def test_a_slow_start_is_no_divergence():
    assert not stuck_at_chance([CHANCE] * 9, 10, 40)
    assert stuck_at_chance([1.0] + [CHANCE] * 10, 10, 40)
    assert not stuck_at_chance([CHANCE] * 9 + [0.97 * CHANCE], 10, 40)
    assert not stuck_at_chance([CHANCE] * 4, 10, 4)  # short runs: five epochs at least


def test_a_reason_without_spectra_is_told_without_limits():
    told = with_context("the loss is not finite", 0, 3, 2.0, 1.0, None)
    assert told == "the loss is not finite (epoch 1, step 3; norm of the weights 2, at start 1)"


def test_results_know_what_is_done(straight):
    _, result = straight
    assert not dataclasses.replace(result, status="paused").done
