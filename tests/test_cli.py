"""The console command: what it prints, what it writes, and how it fails."""

import io
import json
import os
import re
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace

import matplotlib.cbook
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file

from nlmodel.audit import store
from nlmodel.cli import main
from nlmodel.errors import FileError
from tests.html_page import Page


PHOTOGRAPH = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)


@pytest.fixture
def features(tmp_path, rng):
    path = tmp_path / "features.npy"
    np.save(path, rng.standard_normal((40, 5)))
    return path


@pytest.fixture(scope="module")
def photograph(tmp_path_factory):
    """Report and record of the photograph, made once."""
    folder = tmp_path_factory.mktemp("photograph")
    report, record = folder / "report.html", folder / "record.json"
    options = ["--positions", "100", "--scale", "0.8", "--report", str(report), "--json", str(record)]
    assert main(["audit", PHOTOGRAPH, *options]) == 0
    return report.read_text(encoding="utf-8"), json.loads(record.read_text(encoding="utf-8"))


def test_the_page_stands_alone(photograph):
    text, _ = photograph
    page = Page(text)
    assert page.open == []
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert all(ref.startswith(("#", "data:image/png;base64,")) for ref in page.references)
    assert len(page.ids) == len(set(page.ids))
    assert {ref[1:] for ref in page.references if ref.startswith("#")} <= set(page.ids)
    assert page.tags.count("svg") == 4
    assert page.tags.count("math") > 40
    assert "$" not in re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL)
    assert "#1b1b1b" not in re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)


def test_the_check_of_references_can_fail():
    page = Page('<p id="a"><img src="https://example.org/x.png"></p>')
    assert not all(ref.startswith(("#", "data:")) for ref in page.references)
    with pytest.raises(AssertionError):
        Page("<p><b></p></b>")


def test_the_report_of_a_photograph_says_what_to_do(photograph):
    text, record = photograph
    assert "What this means, what to do" in text
    (audit,) = record["audits"]
    facts = audit["facts"]
    assert audit["kind"] == "features"
    assert "600 x 512 pixels" in audit["assumed"][0]
    assert facts["symmetry_defect"] == 0
    assert facts["smallest_entry"] >= 0
    assert 0 < facts["gap"] < facts["s_max"] <= 1 + 1e-9
    assert facts["cfl_spectral"] >= 2 - 1e-9
    assert 1 < facts["cfl_max"] <= facts["cfl_spectral"]
    assert facts["reversible"] is True
    assert facts["dobrushin"] <= 1
    assert facts["rank"] <= 100
    assert len(audit["findings"]) >= 8
    acting = [f for f in audit["findings"] if f["level"] in ("act", "watch")]
    assert all(f["remedy"] for f in acting)
    assert all(any(c.isdigit() for c in f["headline"]) for f in acting)
    assert not any("$" in line or "\\" in line for f in audit["findings"] for line in f.values())


def test_same_file_same_bytes(tmp_path, rng):
    np.save(tmp_path / "w.npy", rng.standard_normal((3, 3)))
    pages = []
    for name in ("a", "b"):
        assert main(["audit", str(tmp_path / "w.npy"), "--report", str(tmp_path / f"{name}.html")]) == 0
        pages.append((tmp_path / f"{name}.html").read_bytes())
    assert pages[0] == pages[1]


def test_plain_when_not_a_terminal(features, capsys):
    assert main(["audit", str(features)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "Audit of features.npy" in out
    assert "Read as features (40 rows are positions, 5 columns are channels)" in out
    assert max(map(len, out.splitlines())) <= 100
    assert not any(line.endswith(" ") for line in out.splitlines())


def test_colours_on_a_terminal(features, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert main(["audit", str(features)]) == 0
    assert "\x1b[" in screen.getvalue()


def test_every_kind_of_file(tmp_path, rng, capsys):
    omega = np.exp(-np.abs(rng.standard_normal((9, 9))))
    np.savez(tmp_path / "all.npz", omega=omega + omega.T, z=rng.standard_normal((9, 4)), labels=np.arange(3))
    pair = {"nl.W.weight": rng.standard_normal((8, 3, 1, 1)), "nl.g.weight": rng.standard_normal((3, 8, 1, 1))}
    save_file({k: v.astype(np.float32) for k, v in pair.items()}, tmp_path / "m.safetensors")
    Image.fromarray(rng.integers(0, 256, (20, 24), dtype=np.uint8)).save(tmp_path / "grey.png")
    for name, words in (
        ("all.npz", ["affinity of 9 positions", "features, 9 positions x 4", "Left out labels"]),
        ("m.safetensors", ["bottleneck of 8 channels through 3", "Stored in float32"]),
        ("grey.png", ["Grey image of 20 x 24 pixels", "--patch"]),
    ):
        assert main(["audit", str(tmp_path / name)]) == 0
        out = " ".join(capsys.readouterr().out.split())
        assert [word for word in words if word not in out] == []


def test_options_reach_the_analysis(features, capsys):
    options = ["--kernel", "exp_dot", "--scale", "3", "--normalize", "sinkhorn", "--positions", "20"]
    assert main(["audit", str(features), *options]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "exp(X_i · X_j / t) with temperature t = 3 (as asked)" in out
    assert "Normalised by Sinkhorn" in out
    assert "20 of 40 positions were taken" in out


@pytest.fixture
def checkpoint(tmp_path):
    """Attention and a nonlocal block with a batch norm, as torch.save writes them."""
    draw = torch.Generator().manual_seed(1)
    shapes = {"attn.in_proj_weight": (24, 8), "attn.out_proj.weight": (8, 8), "nl.g.weight": (4, 8)}
    shapes |= {"nl.w_z.weight": (8, 4), "nl.norm.weight": (8,), "nl.norm.running_var": (8,)}
    path = tmp_path / "net.pth"
    torch.save({"state_dict": {name: torch.rand(shape, generator=draw) for name, shape in shapes.items()}}, path)
    return path


def test_a_checkpoint_is_audited_layer_by_layer(checkpoint, tmp_path, capsys):
    report, record = tmp_path / "r.html", tmp_path / "r.json"
    options = ["--heads", "2", "--report", str(report), "--json", str(record)]
    assert main(["audit", str(checkpoint), *options]) == 0
    out = " ".join(capsys.readouterr().out.split())
    for words in ("head 1 of 2", "is folded in", "z-score", "nothing is said of the affinities"):
        assert words in out
    audits = json.loads(record.read_text(encoding="utf-8"))["audits"]
    assert [audit["name"] for audit in audits] == ["attn head 0", "attn head 1", "nl"]
    assert all(audit["facts"]["trace"] for audit in audits)
    page = Page(report.read_text(encoding="utf-8"))
    assert page.tags.count("article") == 3
    assert page.tags.count("svg") >= 3
    assert main(["audit", str(checkpoint), "--key", "nl"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "--heads" not in out
    assert "bottleneck of 8 channels through 4" in out


def test_safetensors_hold_layers_or_arrays(checkpoint, tmp_path, rng, capsys):
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    save_file({name: value.numpy() for name, value in state.items()}, tmp_path / "net.safetensors")
    for options, words in (
        ([], "torch.nn.MultiheadAttention"),
        ([], "belong to no layer"),
        (["--key", "attn.out_proj.weight"], "Read as weights"),
        (["--as", "weights", "--key", "nl.w_z.weight", "--key", "nl.g.weight"], "Read as a bottleneck"),
    ):
        assert main(["audit", str(tmp_path / "net.safetensors"), *options]) == 0
        assert words in " ".join(capsys.readouterr().out.split())


def test_without_torch_a_checkpoint_is_refused_and_arrays_are_not(
    checkpoint, features, tmp_path, rng, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "nlmodel.nn.checkpoint", None)  # what importing it does where torch is missing
    assert main(["audit", str(checkpoint)]) == 2
    err = capsys.readouterr().err
    assert "MissingPackageError" in err and "torch" in err and "pip install 'nlmodel[nn]'" in err
    save_file({"w": rng.standard_normal((5, 5))}, tmp_path / "w.safetensors")
    for path in (features, tmp_path / "w.safetensors"):
        assert main(["audit", str(path)]) == 0


def test_names_in_a_file_are_only_names(tmp_path, rng, capsys):
    name = "$\\mu$<script>alert(1)</script>[red]x[/red]"
    save_file({name: rng.standard_normal((6, 6))}, tmp_path / "m.safetensors")
    report = tmp_path / "r.html"
    assert main(["audit", str(tmp_path / "m.safetensors"), "--report", str(report)]) == 0
    assert "<script" not in report.read_text(encoding="utf-8")
    assert "[red]x[/red]" in " ".join(capsys.readouterr().out.split())


BAD = {
    "missing.npy": (None, [], "FileError: no such file"),
    "short.npy": (b"\x93NUMPY\x01\x00", [], "FileError: short.npy cannot be read as a NumPy array"),
    "integers.npy": (np.arange(9).reshape(3, 3), [], "DtypeError: integers must be real floating-point"),
    "nan.npy": (np.full((3, 3), np.nan), [], "NonFiniteError: nan must be finite"),
    "thin.npy": (np.ones((4, 3)), ["--as", "weights"], "ShapeError: a weight must be square"),
    "role.npy": (np.ones((4, 3)), ["--as", "weight"], "ChoiceError: role must be one of"),
    "kernel.npy": (np.ones((4, 3)), ["--kernel", "rbf"], "ChoiceError: kernel must be one of"),
    "scale.npy": (np.ones((4, 3)), ["--scale", "0"], "DomainError: scale must be > 0"),
    "nan_scale.npy": (np.ones((4, 3)), ["--scale", "nan"], "NonFiniteError: scale must be finite"),
    "few.npy": (np.ones((4, 3)), ["--positions", "2"], "DomainError: positions must be at least 3"),
    "key.npy": (np.ones((4, 3)), ["--key", "x"], "FileError: no array of this name"),
    "signs.npy": (np.array([[1.0], [-2.0], [0.5]]), ["--kernel", "dot_product"], "NormalizationError"),
}


def test_bad_checkpoints_and_options_give_one_message(checkpoint, features, tmp_path, capsys):
    (tmp_path / "noise.pt").write_bytes(b"noise")
    for arguments, message in (
        ([tmp_path / "noise.pt"], "FileError: noise.pt is no checkpoint"),
        ([tmp_path / "missing.ckpt"], "FileError: no such file"),
        ([checkpoint, "--key", "nothing"], "FileError: no layer of this name"),
        ([checkpoint, "--heads", "0"], "DomainError: heads must be at least 1"),
        ([checkpoint, "--key", "attn", "--heads", "3"], "DomainError: the number of heads must divide"),
        ([checkpoint, "--as", "features"], "DomainError: --as is for arrays"),
        ([features, "--heads", "2"], "DomainError: --heads is for attention layers"),
    ):
        assert main(["audit", *map(str, arguments)]) == 2
        out, err = capsys.readouterr()
        assert (message in err, "Traceback" in err, out) == (True, False, "")


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gives_one_message_and_no_report(name, tmp_path, capsys):
    content, options, message = BAD[name]
    path, report = tmp_path / name, tmp_path / "report.html"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content)
    assert main(["audit", str(path), "--report", str(report), *options]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("nlmodel: ")
    assert message in err
    assert "Traceback" not in err
    assert out == ""
    assert not report.exists()
    assert [p.name for p in tmp_path.iterdir()] == ([name] if content is not None else [])


def test_wrong_usage_exits_2(capsys):
    for arguments in ([], ["audit"], ["audit", "x.npy", "--scale", "wide"], ["fly"]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2


def test_targets_are_checked_before_the_analysis(features, tmp_path, capsys):
    data = features.read_bytes()
    for report, message in (
        (tmp_path, "needs a file name"),
        (tmp_path / "no" / "r.html", "folder of the report does not exist"),
        (features, "would overwrite the audited file"),
    ):
        assert main(["audit", str(features), "--report", str(report)]) == 2
        assert message in capsys.readouterr().err
    same = str(tmp_path / "same")
    assert main(["audit", str(features), "--report", same, "--json", same]) == 2
    assert "a file of its own" in capsys.readouterr().err
    assert features.read_bytes() == data


@pytest.mark.parametrize("step", ["mkstemp", "fsync", "replace"])
def test_a_failed_write_leaves_the_old_report(step, tmp_path, monkeypatch):
    target = tmp_path / "report.html"
    target.write_text("old")

    def fail(*args, **options):
        raise OSError(28, "No space left on device")

    places = {"mkstemp": store.tempfile, "fsync": store.os, "replace": store.Path}
    monkeypatch.setattr(places[step], step, fail)
    with pytest.raises(FileError, match=r"(?s)cannot be written.*No space left"):
        store.write(target, "new")
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    monkeypatch.undo()
    store.write(target, "new")
    assert target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o666 & ~store._umask()


@pytest.mark.parametrize(
    ("package", "options"), [("rich", []), ("jinja2", ["--report"]), ("matplotlib", ["--report"]),
                             ("latex2mathml.converter", ["--report"]), ("safetensors", [])],
)  # fmt: skip
def test_a_missing_package_is_named(package, options, features, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, package, None)
    path = features
    if package == "safetensors":
        path = tmp_path / "m.safetensors"
        path.write_bytes(b"12345678")
    report = [*options, str(tmp_path / "r.html")] if options else []
    assert main(["audit", str(path), *report]) == 2
    err = capsys.readouterr().err
    assert package.split(".")[0] in err
    assert "pip install 'nlmodel[" in err
    assert not (tmp_path / "r.html").exists()


def test_info_names_versions_threads_and_devices(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    for word in ("nlmodel", "python", "numpy", "scipy", "BLAS", "processors", "OMP_NUM_THREADS=3", "devices"):
        assert word in out
    assert np.__version__ in out
    assert "torch threads" not in out
    cuda = SimpleNamespace(device_count=lambda: 1, get_device_name=lambda k: "a large one")
    mps = SimpleNamespace(is_available=lambda: False)
    parts = {"get_num_threads": lambda: 5, "cuda": cuda, "backends": SimpleNamespace(mps=mps)}
    torch = SimpleNamespace(__spec__=ModuleSpec("torch", None), **parts)
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert "cpu, a large one" in out
    assert re.search(r"torch threads +5", out)


def test_the_installed_command_and_what_importing_costs(features, tmp_path):
    """A fresh interpreter: exit status, no traceback, a closed pipe; `import nlmodel` loads no heavy package."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    code = "import sys, nlmodel, nlmodel.cli; print(sorted({'torch','matplotlib','rich','jinja2'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert found.stdout.strip() == "[]"
    command = Path(sys.executable).parent / "nlmodel"
    bad = subprocess.run([command, "audit", tmp_path / "no.npy"], capture_output=True, text=True, env=environment)
    assert (bad.returncode, bad.stdout) == (2, "")
    assert "Traceback" not in bad.stderr
    reader, writer = os.pipe()
    os.close(reader)
    closed = subprocess.run(
        [command, "audit", features], stdout=writer, stderr=subprocess.PIPE, text=True, env=environment
    )
    os.close(writer)
    assert (closed.returncode, closed.stderr) == (0, "")
