"""Checkpoints that are not what they say: refused with one of our errors, and nothing in them runs."""

import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from nlmodel.errors import DtypeError, FileError
from nlmodel.nn import NonlocalBlock, audit_checkpoint
from nlmodel.nn.checkpoint import files
from nlmodel.nn.checkpoint.files import tensor_sets


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, target: Path):
        self.target = str(target)

    def __reduce__(self):
        return os.mkdir, (self.target,)


def block() -> dict[str, torch.Tensor]:
    return NonlocalBlock(6, w_init="he", generator=torch.Generator().manual_seed(1)).state_dict()


@pytest.mark.parametrize("new_format", [True, False])
@pytest.mark.parametrize("forced", [True, False])
def test_code_in_a_checkpoint_does_not_run(new_format, forced, tmp_path, monkeypatch):
    target, path = tmp_path / "ran", tmp_path / "net.pt"
    torch.save({**block(), "x": Bomb(target)}, path, _use_new_zipfile_serialization=new_format)
    if forced:  # a setting by which a user may have allowed code elsewhere
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with pytest.raises(FileError, match=r"(?s)holds more than tensors.*mkdir.*nothing was run"):
        audit_checkpoint(path)
    assert not target.exists()
    action, arguments = Bomb(target).__reduce__()  # the control: what unpickling would have called does leave a trace
    action(*arguments)
    assert target.exists()


def test_a_bare_pickle_is_no_checkpoint(tmp_path):
    target, path = tmp_path / "ran", tmp_path / "net.pt"
    path.write_bytes(pickle.dumps(Bomb(target)))
    with pytest.raises(FileError, match="no checkpoint"):
        tensor_sets(path)
    assert not target.exists()


def test_whole_modules_and_programs_are_refused(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "module.pth")
    with pytest.raises(FileError, match=r"(?s)holds more than tensors.*Linear.*state_dict"):
        tensor_sets(tmp_path / "module.pth")
    with zipfile.ZipFile(tmp_path / "program.pt", "w") as archive:
        archive.writestr("net/constants.pkl", b"")
    with pytest.raises(FileError, match="TorchScript program"):
        tensor_sets(tmp_path / "program.pt")


@pytest.mark.parametrize("new_format", [True, False])
def test_no_beginning_of_a_checkpoint_is_read_as_one(new_format, tmp_path):
    torch.save(block(), tmp_path / "good.pt", _use_new_zipfile_serialization=new_format)
    data, path = (tmp_path / "good.pt").read_bytes(), tmp_path / "part.pt"
    for length in (*range(0, 40, 3), *range(40, len(data) - 1, len(data) // 20)):
        path.write_bytes(data[:length])
        with pytest.raises(FileError):
            tensor_sets(path)
    path.write_bytes(data)  # the control
    assert "g.weight" in tensor_sets(path)[0]


def packed(path: Path, how: int, data: bytes = b"\0" * 10**6) -> Path:
    with zipfile.ZipFile(path, "w", how) as archive:
        archive.writestr("net/data.pkl", data)
    return path


def test_archives_that_unpack_to_more_than_they_are(tmp_path):
    with pytest.raises(FileError, match="compressed members"):
        tensor_sets(packed(tmp_path / "a.pt", zipfile.ZIP_DEFLATED))
    with pytest.raises(FileError, match="cannot be read as a checkpoint"):
        tensor_sets(packed(tmp_path / "b.pt", zipfile.ZIP_STORED, b"no pickle"))


def test_a_storage_that_claims_more_than_the_file_holds(tmp_path):
    torch.save({"g.weight": torch.ones(7)}, tmp_path / "good.pt")
    with zipfile.ZipFile(tmp_path / "good.pt") as archive:
        parts = {member: archive.read(member) for member in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "lies.pt", "w") as archive:
        for member, data in parts.items():
            archive.writestr(member, data.replace(b"K\x07", b"J\xff\xff\xff\x7f") if "data.pkl" in member else data)
    with pytest.raises(FileError, match="cannot be read as a checkpoint"):
        [sets.values("g.weight", 1) for sets in tensor_sets(tmp_path / "lies.pt")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.pt", None, "no such file"),
        ("empty.pt", b"", "the file is empty"),
        ("noise.bin", bytes(range(256)), "no checkpoint"),
        ("words.ckpt", b"import os", "no checkpoint"),
        ("net.onnx", b"\x08", "unknown kind of file"),
        ("short.safetensors", b"\x10", "cannot be read as a safetensors file"),
    ],
)
def test_files_of_another_kind(name, content, message, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(FileError, match=message):
        audit_checkpoint(tmp_path / name)


@pytest.mark.parametrize("content", [torch.ones(3, 3), [torch.ones(3, 3)], {"lr": 0.1}, {1: torch.ones(2)}, 3])
def test_checkpoints_without_names(content, tmp_path):
    torch.save(content, tmp_path / "net.pt")
    with pytest.raises(FileError, match="no named tensors"):
        tensor_sets(tmp_path / "net.pt")


def test_mappings_inside_mappings_are_read_once_and_not_too_deep(tmp_path):
    inner: dict[str, object] = {"w": torch.ones(2)}
    for _ in range(30):  # 2^30 ways down
        inner = {"a": inner, "b": inner}
    torch.save({"near": {"w": torch.ones(2)}, "again": inner}, tmp_path / "net.pt")
    assert [sets.where for sets in tensor_sets(tmp_path / "net.pt")] == ["near"]


def test_sizes_are_checked_before_memory_is_taken(tmp_path, monkeypatch):
    torch.save({"w": torch.ones(1, 1).expand(8000, 80_000)}, tmp_path / "wide.pt")  # one number that says it is 640 M
    with pytest.raises(FileError, match="too large to audit"):
        tensor_sets(tmp_path / "wide.pt")[0].entries["w"].load()
    monkeypatch.setattr(files, "LARGEST_OLD", 100)
    torch.save(block(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(FileError, match="too large for its format"):
        tensor_sets(tmp_path / "old.pt")


def test_numbers_that_safetensors_holds_and_we_do_not_cast(tmp_path):
    state = {name: (100 * value).to(torch.int8) for name, value in block().items()}
    save_file(state, tmp_path / "m.safetensors")
    with pytest.raises(DtypeError, match="floating-point"):
        audit_checkpoint(tmp_path / "m.safetensors")


def test_names_in_a_checkpoint_cannot_steer_a_terminal(tmp_path):
    state = {f"\x1b[31m$x$`{name}": value for name, value in block().items()}
    torch.save({f"\x1b[31m$x$`.{name}": value for name, value in block().items()} | state, tmp_path / "net.pt")
    (audit,), _ = audit_checkpoint(tmp_path / "net.pt")
    assert "\x1b" not in audit.name + " ".join(audit.assumed)
