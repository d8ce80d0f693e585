"""The command line: what each command prints and writes, how it fails, how it stops."""

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from paper_repro import figures
from paper_repro.__main__ import COMMANDS, main
from paper_repro.commands.options import duration, seeds
from paper_repro.commands.status import words
from paper_repro.data.synthetic import synthetic
from paper_repro.presets import preset
from paper_repro.sweep import Lock, Runner, queue, read_rows, runner
from paper_repro.sweep.state import lock_path
from paper_repro.training import Engine
from tests.html_page import Page
from tests.paper_repro.fake_runs import result_of, write_run


ROOT = Path(__file__).parents[2]


def make_trainer(done: list):
    """Training that takes no time; original-4 diverges.  What was trained is noted in `done`."""

    def train(config, *, seed, data, out, time_limit, **options):
        (job,) = queue([(config.slug, config)], [seed])
        status = "diverged" if (config.form, config.blocks) == ("original", 4) else "finished"
        lean = {"original": -0.7, "proposed": 0.7}.get(config.form, 0.0)
        write_run(job, out, status=status, epochs=2 if status == "diverged" else None, lean=lean, error=50.0)
        done.append((config.form, config.blocks, seed, data.synthetic))
        return result_of(job, status)

    return train


def few_images(name, root):
    return synthetic(train=10, test=10)


@pytest.fixture
def trained(monkeypatch):
    """No time is spent on training, loading and drawing; the list of what was trained."""
    done = []
    monkeypatch.setattr(runner, "train", make_trainer(done))
    monkeypatch.setattr(runner, "load", few_images)
    return done


@pytest.fixture
def undrawn(monkeypatch):
    """Reports without figures."""
    monkeypatch.setattr(figures, "pictures", lambda runs: iter(()))


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


# ---------------------------------------------------------------- words


def test_times_and_seeds_are_read():
    assert [duration(text) for text in ("90", "90s", "12m", "1.5h", "2d")] == [90, 90, 720, 5400, 172800]
    assert seeds("3") == (0, 1, 2) and seeds("3,7") == (3, 7) and seeds("3,") == (3,)
    assert [words(s) for s in (45, 720, 12000, 200000)] == ["45 s", "12 min", "3 h 20 min", "2 d 7 h"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nothing"],
        ["sweep", "smoke", "--seeds", "0"],
        ["sweep", "smoke", "--seeds", "a"],
        ["sweep", "smoke", "--time-limit", "0"],
        ["sweep", "smoke", "--time-limit", "5w"],
        ["sweep", "smoke", "--workers", "0"],
        ["data", "x", "--set", "mnist"],
        ["tables", "--format", "pdf"],
    ],
)
def test_words_that_mean_nothing_exit_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["data", "no/such/folder"], "no such path"),
        (["train", "smoke", "nope"], "row must be one of"),
        (["train", "no_such_file.toml"], "cannot be read"),
        (["train", "a", "b", "c"], "PRESET ROW, or one file"),
        (["sweep", "nonsense"], "preset must be one of"),
        (["sweep", "table1"], "--data DIR"),
        (["sweep", "smoke", "--device", "abacus"], "device"),
        (["sweep", "smoke", "--executor", "my.pool"], "--allow-import"),
        (["sweep", "smoke", "--slurm", "0.01"], "leave time to train"),
        (["status", "nonsense"], "preset must be one of"),
        (["tables", "nonsense"], "preset must be one of"),
        (["tables", "--readme", "no_such_file.md"], "no such file"),
        (["figures", "nonsense"], "preset must be one of"),
    ],
)
def test_mistakes_exit_with_2_and_one_message(arguments, told, capsys):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("paper_repro: ") and told in captured.err
    assert "Traceback" not in captured.err


def test_every_command_explains_itself(capsys):
    for command in COMMANDS:
        with pytest.raises(SystemExit) as stopped:
            main([command.__name__.rsplit(".", 1)[-1], "--help"])
        assert stopped.value.code == 0
    assert "--time-limit" in capsys.readouterr().out


# ---------------------------------------------------------------- training


def test_one_real_run_from_a_file_is_skipped_the_second_time(tmp_path, capsys):
    (tmp_path / "tiny.toml").write_text(
        'dataset = "synthetic"\ntrain_images = 20\ntest_images = 10\ndepth = 11\nepochs = 1\nmilestones = []\n'
        'form = "original"\nblocks = 1\n'
    )
    command = ("train", tmp_path / "tiny.toml", "--out", tmp_path, "--threads", 1, "--quiet")
    assert run(*command) == 0
    assert "tiny, seed 0: error" in capsys.readouterr().out
    assert run(*command) == 0
    assert "Nothing left to do." in capsys.readouterr().out


def test_sweep_status_collect_figures(trained, tmp_path, capsys):
    out = ("--out", tmp_path)
    assert run("sweep", "smoke", "--seeds", "2", "--quiet", *out) == 0
    assert "6 finished." in capsys.readouterr().out
    assert [seed for *_, seed, _ in trained] == [0, 0, 0, 1, 1, 1]
    assert run("sweep", "smoke", "--seeds", "3", "--quiet", *out) == 0
    assert len(trained) == 9
    assert run("status", "smoke", "--seeds", "4", *out) == 0
    shown = capsys.readouterr().out
    assert "9 of 12 runs done" in shown and "proposed-2" in shown
    assert run("collect", "smoke", "--seeds", "3", "--results", tmp_path / "results", *out) == 0
    assert len(read_rows(tmp_path / "results" / "smoke.csv")) == 9
    assert run("figures", "smoke", "--formats", "svg", *out) == 0
    drawn = {path.name for path in (tmp_path / "figures-smoke").iterdir()}
    assert {"curves.svg", "outcomes.svg", "signs.svg", "captions.txt"} <= drawn
    assert run("figures", "smoke", "--out", tmp_path / "nowhere") == 0
    assert "has logged an epoch yet" in capsys.readouterr().out


def test_a_run_that_fails_exits_with_2_after_the_others(trained, tmp_path, monkeypatch, capsys):
    fine = runner.train

    def train(config, **options):
        if config.form == "original":
            raise RuntimeError("out of memory")
        return fine(config, **options)

    monkeypatch.setattr(runner, "train", train)
    assert run("sweep", "smoke", "--seeds", "1", "--quiet", "--out", tmp_path) == 2
    shown = capsys.readouterr().out
    assert "original-2, seed 0: failed. RuntimeError: out of memory" in shown and "2 finished, 1 failed." in shown


def test_the_job_script_names_the_same_queue(capsys):
    assert run("sweep", "table1", "--slurm", 4, "--workers", 8, "--data", "a b", "--seeds", "3") == 0
    script = capsys.readouterr().out
    assert "--array=0-7" in script and "--data 'a b'" in script and "--seeds 0,1,2," in script


def test_an_interrupt_exits_with_130_and_releases_the_lock(tmp_path, monkeypatch, capsys):
    def train(config, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "train", train)
    assert run("sweep", "smoke", "--out", tmp_path) == 130
    assert "The same command goes on" in capsys.readouterr().err
    assert list((tmp_path / "locks").iterdir()) == []


TINY = """
dataset = "synthetic"
train_images = 40
test_images = 10
batch_size = 10
depth = 11
epochs = 2
milestones = []
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_run_first(number, tmp_path, monkeypatch, capfd):
    """After the third step of eight; the run goes on from there and ends as it would have."""
    (tmp_path / "tiny.toml").write_text(TINY)
    command = ("train", tmp_path / "tiny.toml", "--threads", 1, "--quiet", "--out")
    assert run(*command, tmp_path / "straight") == 0
    step, steps = Engine.train_step, []

    def counted(self, *arguments):
        steps.append(step(self, *arguments))
        if len(steps) == 3:
            os.kill(os.getpid(), number)

    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    monkeypatch.setattr(Engine, "train_step", counted)
    assert run(*command, tmp_path / "stopped") == 130
    assert "Stopping after this step" in capfd.readouterr().err
    assert len(steps) == 3
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before
    assert list((tmp_path / "stopped" / "locks").iterdir()) == []
    assert run(*command, tmp_path / "stopped") == 0
    assert len(steps) == 8
    weights = [next((tmp_path / name).glob("*/weights.safetensors")).read_bytes() for name in ("straight", "stopped")]
    assert weights[0] == weights[1]


def test_a_second_signal_interrupts_at_once(tmp_path, monkeypatch):
    def train(config, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        assert options["stop"]()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    monkeypatch.setattr(runner, "train", train)
    assert run("sweep", "smoke", "--out", tmp_path) == 130


def test_a_termination_outside_training_is_an_interrupt(monkeypatch, tmp_path):
    monkeypatch.setattr(Runner, "check", lambda *_: os.kill(os.getpid(), signal.SIGTERM) or time.sleep(5))
    before = signal.getsignal(signal.SIGTERM)
    assert run("sweep", "smoke", "--out", tmp_path) == 130
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_run_in_the_hands_of_another_is_left_to_it(trained, tmp_path, capsys):
    (tmp_path / "locks").mkdir()
    (job, *_) = queue(preset("smoke"), [0])
    with Lock.acquire(lock_path(job, tmp_path)).held():
        assert run("train", "smoke", "baseline", "--out", tmp_path) == 0
    assert trained == []
    assert run("train", "smoke", "baseline", "--out", tmp_path) == 0
    assert len(trained) == 1


def test_the_processes_of_torchrun_train_together_and_are_no_workers(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert run("train", "smoke", "baseline", "--out", tmp_path) == 0
    assert len(trained) == 1 and not (tmp_path / "locks").exists()
    assert run("sweep", "smoke", "--out", tmp_path) == 2
    assert "workers train alone" in capsys.readouterr().err


def test_images_are_kept_between_the_runs_of_a_worker(trained, monkeypatch, tmp_path):
    loads = []
    monkeypatch.setattr(runner, "load", lambda name, root: loads.append(name) or synthetic(train=10, test=10))
    folder = tmp_path / "images"
    make = Runner(tmp_path, folder, "cpu", None, False)
    for job in queue(preset("mini"), [0]):
        make(job, None)
    assert loads == ["cifar10"]


# ---------------------------------------------------------------- tables


def test_tables_from_collected_results(trained, tmp_path, capsys):
    results = ("--results", tmp_path / "results")
    data = ("--data", tmp_path, "--out", tmp_path / "runs")
    assert run("tables", *results) == 0
    assert "No finished run" in capsys.readouterr().out
    assert run("sweep", "short", "--seeds", "1", "--quiet", *data) == 0
    assert run("collect", "short", "--out", tmp_path / "runs", *results) == 0
    for form, told in (("markdown", "| baseline |"), ("latex", r"\toprule"), ("csv", "row,baseline")):
        capsys.readouterr()
        assert run("tables", "short", "--format", form, *results) == 0
        assert told in capsys.readouterr().out
    assert run("tables", "--out", tmp_path / "tables", *results) == 0
    assert sorted(path.name for path in (tmp_path / "tables").iterdir()) == ["short.csv", "short.md", "short.tex"]
    page = tmp_path / "README.md"
    page.write_text("<!-- cifar:begin -->\n<!-- cifar:end -->\n")
    assert run("tables", "--readme", page, "--check", *results) == 1
    assert run("tables", "--readme", page, *results) == 0
    assert run("tables", "--readme", page, "--check", *results) == 0
    text = page.read_text()
    assert "**short.**" in text and "20 epochs" in text and "Not the paper's recipe" in text and "table1" not in text


# ---------------------------------------------------------------- mini and short


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    """Folder and output of `mini` on what stands in for a copy of CIFAR."""
    folder = tmp_path_factory.mktemp("mini")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as shown:
        patch.setattr(runner, "train", make_trainer([]))
        patch.setattr(runner, "load", few_images)
        assert run("mini", "--data", folder, "--out", folder / "mini", "--quiet") == 0
    return folder / "mini", shown.getvalue()


def test_mini_writes_everything(mini):
    out, shown = mini
    assert {path.name for path in out.iterdir()} == {
        "runs", "results.csv", "table.md", "table.tex", "table.csv", "figures", "report.html",
    }  # fmt: skip
    assert "original-4, seed 0: diverged" in shown and "report.html" in shown
    assert {"figure-1.png", "figure-3a.svg", "figure-4.png", "curves.svg"} <= {
        p.name for p in (out / "figures").iterdir()
    }


def test_the_report_stands_alone_and_says_what_was_found(mini):
    out, _ = mini
    text = (out / "report.html").read_text()
    page = Page(text)
    assert page.open == []
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert all(ref.startswith(("#", "data:")) for ref in page.references)
    assert len(page.ids) == len(set(page.ids))
    assert page.tags.count("svg") == 8
    assert "$" not in re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL)
    plain = " ".join(re.sub(r"<[^>]+>", " ", text).split())
    assert "The original blocks show the damping sign pattern" in plain
    assert "The proposed blocks show the damping sign pattern" in plain
    assert "Four original blocks fail at the full learning rate: 1 of 1 run diverged" in plain
    images = dict(preset("mini"))["baseline"].train_images
    assert f"{images:,} of 50,000 CIFAR-10 training images" in plain and "stand-in" not in plain.lower()
    assert str(out.parent) not in text


def test_without_images_mini_says_where_to_get_them_and_names_the_stand_in(trained, undrawn, tmp_path, capsys):
    assert run("mini", "--out", tmp_path, "--quiet") == 0
    shown = capsys.readouterr().out
    assert "make mini CIFAR=DIR" in shown and "cifar-10-binary.tar.gz" in shown and "SYNTHETIC" in shown
    assert all(stand_in for *_, stand_in in trained)
    text = (tmp_path / "report.html").read_text()
    assert "Synthetic stand-in images, not CIFAR" in text and "on synthetic images: mini (synthetic)" in text
    assert {row["data"] for row in read_rows(tmp_path / "results.csv")} == {"synthetic"}
    assert "NOT results on CIFAR" in (tmp_path / "table.md").read_text()
    assert "8.19" not in (tmp_path / "table.md").read_text()  # nothing of the paper beside what is not CIFAR


def test_mini_that_was_stopped_says_so_and_goes_on(trained, undrawn, tmp_path, monkeypatch):
    fine = runner.train

    def train(config, **options):
        if config.form != "proposed":
            return fine(config, **options)
        (job,) = queue([("x", config)], [0])
        write_run(job, options["out"], status="paused", epochs=3)
        return result_of(job, "paused", 3)

    monkeypatch.setattr(runner, "train", train)
    command = ("mini", "--data", tmp_path, "--out", tmp_path / "mini", "--quiet")
    assert run(*command) == 0
    text = (tmp_path / "mini" / "report.html").read_text()
    assert "Not complete: proposed-4, seed 0, is at epoch 3 of" in " ".join(text.split())
    monkeypatch.setattr(runner, "train", fine)
    assert run(*command) == 0
    assert "Not complete" not in (tmp_path / "mini" / "report.html").read_text()


def test_short_is_the_same_at_low_priority(trained, undrawn, tmp_path, monkeypatch, capsys):
    nice = []
    monkeypatch.setattr(os, "nice", nice.append)
    command = ("short", "--data", tmp_path, "--out", tmp_path / "short", "--quiet", "--threads", 1)
    assert run(*command, "--time-limit", "1h") == 0
    assert nice == [10] and len(trained) == 4
    assert "20 epochs" in (tmp_path / "short" / "table.md").read_text()


def test_weights_that_show_nothing_are_reported_as_such(trained, undrawn, tmp_path, monkeypatch):
    def train(config, *, seed, out, **options):
        (job,) = queue([("x", config)], [seed])
        write_run(job, out)
        return result_of(job)

    monkeypatch.setattr(runner, "train", train)
    assert run("mini", "--data", tmp_path, "--out", tmp_path / "mini", "--quiet") == 0
    text = (tmp_path / "mini" / "report.html").read_text()
    assert "The original blocks do not show the damping sign pattern" in text
    assert "0 of 6 weights are of that pattern" in text
    assert "do not fail at the full learning rate: 0 of 1 run diverged" in text


def test_make_mini_passes_the_folder_on():
    dry = ["make", "--dry-run", "-o", ".venv/ready", "mini"]
    with_images = subprocess.run([*dry, "CIFAR=a b"], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    without = subprocess.run(dry, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert '-m paper_repro mini --data "a b"' in with_images
    assert "-m paper_repro mini" in without and "--data" not in without


def test_the_module_runs_as_a_program():
    done = subprocess.run(
        [sys.executable, "-m", "paper_repro", "status", "nonsense"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 2 and done.stderr.startswith("paper_repro: ChoiceError")
