"""Steps: SGD against its formula, the captured step against the plain one, evaluation, precision, state."""

import copy
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from nlmodel.testing import assert_close
from paper_repro.training import Engine, GraphEngine
from paper_repro.training.display import Display, clock
from paper_repro.training.folder import COLUMNS, Folder
from paper_repro.training.graph import WARM_UP
from paper_repro.training.group import join
from paper_repro.training.numerics import autocast, choose_device, numerics
from tests.paper_repro.training_cases import IMAGES, NONLOCAL, TINY


CPU, RATE = torch.device("cpu"), 0.01


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def after_steps(engine: Engine, seed: int = 0) -> dict[str, torch.Tensor]:
    engine.reset(seed)
    for batch in engine.batches(0, seed):
        engine.train_step(batch, RATE)
    return engine.state()


def by_hand(config, decay: float) -> dict[str, torch.Tensor]:
    """v <- m v + (g + decay w), w <- w - lr v (Nesterov: lr (g + decay w + m v)), with g of the mean loss."""
    engine = Engine(config, IMAGES, CPU)
    engine.reset(0)
    network = copy.deepcopy(engine.network).train()
    velocity = {name: torch.zeros_like(p) for name, p in network.named_parameters()}
    for batch in engine.batches(0, 0):
        x, y = engine.pipeline.gather(*batch)
        network.zero_grad()
        F.cross_entropy(network(x), y).backward()
        with torch.no_grad():
            for name, p in network.named_parameters():
                assert p.grad is not None
                g = p.grad + decay * p
                velocity[name] = config.momentum * velocity[name] + g
                p -= RATE * (g + config.momentum * velocity[name] if config.nesterov else velocity[name])
    return network.state_dict()


def check_same_weights(actual: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    for name, wanted in expected.items():
        if wanted.is_floating_point():
            scale = max(1.0, float(wanted.abs().max()))
            assert_close(actual[f"model.{name}"].contiguous(), wanted.contiguous(), "reduction", n=64, scale=scale)


@pytest.mark.parametrize("config", [TINY.with_(weight_decay=1.0), TINY.with_(weight_decay=1.0, nesterov=True)])
def test_steps_are_those_of_the_formula(config):
    state = after_steps(Engine(config, IMAGES, CPU))
    check_same_weights(state, by_hand(config, 1.0))
    with pytest.raises(AssertionError):  # control: no weight decay
        check_same_weights(state, by_hand(config, 0.0))


@dataclass
class Recorded:
    """What stands in for a graph where there is none: the call itself."""

    call: object

    def replay(self):
        self.call()  # pyright: ignore


class Rehearsal(GraphEngine):
    """A graph engine whose graphs are recorded calls; all the rest is the real one's."""

    captures = 0

    def _capture(self, call):
        self.captures += 1
        for _ in range(WARM_UP):
            call()
        return Recorded(call)


class Forgetful(Rehearsal):
    """Control: the steps of the warm-up are left in the weights."""

    def load(self, state):
        pass


def test_replayed_steps_are_the_plain_ones_bit_for_bit():
    plain, replayed = Engine(NONLOCAL, IMAGES, CPU), Rehearsal(NONLOCAL, IMAGES, CPU)
    for seed in (0, 1):  # the second seed in the same memory
        expected, actual = after_steps(plain, seed), after_steps(replayed, seed)
        assert all(torch.equal(actual[name], expected[name]) for name in expected)
        assert replayed.evaluate() == plain.evaluate()
    assert replayed.captures == 3  # batches of eight and of four, test batches of ten
    forgetful = after_steps(Forgetful(NONLOCAL, IMAGES, CPU), 1)
    assert any(not torch.equal(forgetful[name], expected[name]) for name in expected)


def test_evaluation_is_the_mean_over_the_test_images_and_leaves_no_trace():
    engine = Engine(TINY, IMAGES, CPU)
    after_steps(engine)
    before = engine.state()
    loss, error = engine.evaluate()
    assert all(torch.equal(before[name], tensor) for name, tensor in engine.state().items())
    network = copy.deepcopy(engine.network).eval().double()
    x, y = next(iter(engine.pipeline.test_batches(10)))
    with torch.no_grad():
        scores = network(x.double())
    wanted = float(F.cross_entropy(scores, y))
    assert_close(torch.tensor(loss), torch.tensor(wanted), "reduction", n=64, scale=max(1.0, wanted))
    assert error == 100 * float((scores.argmax(1) != y).double().mean())


def test_bfloat16_is_near_float32_but_not_it():
    plain, short = (after_steps(Engine(TINY.with_(precision=name), IMAGES, CPU)) for name in ("float32", "bfloat16"))
    assert all(t.dtype == plain[name].dtype for name, t in short.items())
    moved = [name for name in plain if not torch.equal(plain[name], short[name])]
    weight = "model.classifier.weight"
    gap = float((plain[weight] - short[weight]).norm() / plain[weight].norm())
    assert moved and gap < torch.finfo(torch.bfloat16).eps * 8


def test_the_layout_of_the_memory_changes_nothing_but_rounding():
    rows = after_steps(Engine(TINY.with_(channels_last=False), IMAGES, CPU))
    last = after_steps(Engine(TINY, IMAGES, CPU))
    for name in rows:
        if name.startswith("model.") and rows[name].is_floating_point():
            scale = max(1.0, float(rows[name].abs().max()))
            assert_close(last[name].contiguous(), rows[name].contiguous(), "reduction", n=64, scale=scale)


def test_arithmetic_settings_are_set_and_set_back():
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cuda.matmul.fp32_precision
    with pytest.raises(ZeroDivisionError), numerics("float32", CPU):
        assert torch.are_deterministic_algorithms_enabled() and torch.backends.cuda.matmul.fp32_precision == "ieee"
        _ = 1 / 0
    assert (torch.are_deterministic_algorithms_enabled(), torch.backends.cuda.matmul.fp32_precision) == before
    with autocast("bfloat16", CPU):
        assert torch.is_autocast_enabled("cpu")
    with autocast("float32", CPU):
        assert not torch.is_autocast_enabled("cpu")
    assert choose_device("auto").type in ("cpu", "cuda") and join(CPU).size == 1


class Board:
    """TensorBoard's writer as far as it is used."""

    def __init__(self, folder, purge_step):
        self.told: list[Any] = [(Path(folder).name, purge_step)]

    def add_scalar(self, *values):
        self.told.append(values)

    def close(self):
        self.told.append("closed")


def test_curves_go_to_tensorboard_where_it_is_installed(tmp_path, monkeypatch):
    folder, row = Folder(tmp_path), dict.fromkeys(COLUMNS, 1.5) | {"epoch": 4, "test_loss": None, "test_error": None}
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    folder.write_scalars(row)
    assert folder._board is None
    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Board  # pyright: ignore
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: module)
    folder.write_scalars(row)
    folder.close()
    board: Any = folder._board
    names = ("lr", "train_loss", "train_error", "images_per_second", "seconds")
    assert board.told == [("tensorboard", 4), *((name, 1.5, 4) for name in names), "closed"]


def test_progress_is_told_in_lines_where_there_is_no_terminal(capsys):
    with Display("run", 10, 2, shown=True, bar=False) as display:
        assert display.due
        display.update(2, "loss 1")
        display.update(6, "loss 0.5")
        assert not display.due
    assert not Display("run", 10, 2, shown=False).due
    first, second = capsys.readouterr().err.splitlines()
    assert first == "run: 20.0 %, starting, loss 1" and second == "run: 60.0 %, 0:00:00 left, loss 0.5"
    assert clock(3725.4) == "1:02:05"
