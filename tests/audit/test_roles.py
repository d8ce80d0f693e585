"""What a file's arrays are taken for, and that the report says so."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from nlmodel.audit.readers import entries
from nlmodel.audit.roles import guess, tasks
from nlmodel.errors import ChoiceError, DtypeError, FileError, NonFiniteError, ShapeError


@pytest.fixture
def arrays(rng):
    omega = np.exp(-np.abs(rng.standard_normal((6, 6))))
    return {"positive": omega + omega.T, "signed": rng.standard_normal((6, 6)), "tall": rng.standard_normal((9, 4))}


@pytest.mark.parametrize(
    ("name", "key", "role"),
    [
        ("omega", "positive", "affinity"),
        ("x", "tall", "features"),
        ("block.weight", "signed", "weights"),
        ("block.weight", "positive", "weights"),
        ("something", "signed", "weights"),
        ("something", "positive", "affinity"),
        ("features", "signed", "features"),
        ("omega.weight", "signed", "weights"),
        ("omega", "signed", "affinity"),
    ],
)
def test_guess(name, key, role, arrays):
    assert guess(name, arrays[key])[0] == role


def test_a_guess_is_said_with_the_way_to_override_it(arrays, tmp_path):
    np.save(tmp_path / "s.npy", arrays["signed"])
    (task,), notes = tasks(entries(tmp_path / "s.npy"))
    assert task.role == "weights"
    assert "Read as weights (square 6 x 6 with entries of both signs)" in task.assumed[0]
    assert "--as features" in task.assumed[0]
    assert notes == []
    (task,), _ = tasks(entries(tmp_path / "s.npy"), "features")
    assert task.role == "features"
    assert np.array_equal(task.arrays[0], arrays["signed"])


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("W_Z", "W_g"),
        ("stage.0.w_z", "stage.0.w_g"),
        ("nl.W.weight", "nl.g.weight"),
        ("nl.conv_out.conv.weight", "nl.g.conv.weight"),
    ],
)
def test_bottleneck_pairs_are_found_by_name(left, right, rng, tmp_path):
    W_Z, W_g = rng.standard_normal((8, 3)), rng.standard_normal((3, 8))
    save_file({left: W_Z.reshape(8, 3, 1, 1), right: W_g.reshape(3, 8, 1, 1)}, tmp_path / "m.safetensors")
    (task,), _ = tasks(entries(tmp_path / "m.safetensors"))
    assert task.role == "weights"
    assert np.array_equal(task.arrays[0], W_Z)
    assert np.array_equal(task.arrays[1], W_g)


def test_names_that_are_no_pair_stay_apart(rng, tmp_path):
    save_file({"W": rng.standard_normal((8, 8)), "h": rng.standard_normal((8, 8))}, tmp_path / "m.safetensors")
    work, _ = tasks(entries(tmp_path / "m.safetensors"))
    assert [len(task.arrays) for task in work] == [1, 1]


def test_what_cannot_be_audited_is_left_out_and_named(arrays, tmp_path):
    np.savez(tmp_path / "all.npz", **arrays, labels=np.arange(5), images=np.zeros((2, 3, 4)))
    work, notes = tasks(entries(tmp_path / "all.npz"))
    assert [task.role for task in work] == ["affinity", "weights", "features"]
    assert len(notes) == 2
    assert "labels" in notes[0]
    assert "images" in notes[1]


def test_keys_choose_and_two_of_them_are_a_pair_of_weights(arrays, tmp_path, rng):
    np.savez(tmp_path / "all.npz", **arrays, a=rng.standard_normal((5, 2)), b=rng.standard_normal((2, 5)))
    found = entries(tmp_path / "all.npz")
    (task,), _ = tasks(found, keys=["tall"])
    assert task.name == "tall"
    (pair,), _ = tasks(found, "weights", ["a", "b"])
    assert [x.shape for x in pair.arrays] == [(5, 2), (2, 5)]
    (swapped,), _ = tasks(found, "weights", ["b", "a"])
    assert [x.shape for x in swapped.arrays] == [(5, 2), (2, 5)]
    with pytest.raises(ShapeError, match="pair of weights"):
        tasks(found, "weights", ["a", "tall"])
    with pytest.raises(FileError, match=r"(?s)no array of this name.*'c'.*positive, signed"):
        tasks(found, keys=["c"])


def test_at_most_twelve_audits(rng, tmp_path):
    np.savez(tmp_path / "many.npz", **{f"a{k}": rng.standard_normal((4, 4)) for k in range(15)})
    work, notes = tasks(entries(tmp_path / "many.npz"))
    assert (len(work), len(notes)) == (12, 3)


BAD = {
    "integers": (np.arange(12).reshape(4, 3), "auto", DtypeError, "floating-point.*int64"),
    "complex": (np.ones((4, 4), complex), "auto", DtypeError, "complex128"),
    "vector": (np.ones(4), "auto", ShapeError, r"must be a matrix.*\(4,\)"),
    "four": (np.ones((2, 3, 4, 5)), "auto", ShapeError, "must be a matrix"),
    "nan": (np.array([[1.0, np.nan]]), "auto", NonFiniteError, "1 entries.*row 0, column 1"),
    "infinite": (np.array([[1.0, np.inf]]), "auto", NonFiniteError, "finite"),
    "void": (np.ones((0, 4)), "auto", ShapeError, "is empty"),
    "flat": (np.ones((4, 3)), "affinity", ShapeError, "affinity must be square"),
    "thin": (np.ones((4, 3)), "weights", ShapeError, "weight must be square"),
    "large": (np.ones((2001, 2001), np.float32), "affinity", ShapeError, "too large"),
    "role": (np.ones((4, 3)), "matrix", ChoiceError, "role must be one of 'features'"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arrays(name, tmp_path):
    values, role, error, message = BAD[name]
    np.save(tmp_path / f"{name}.npy", values)
    with pytest.raises(error, match=f"(?s){message}"):
        tasks(entries(tmp_path / f"{name}.npy"), role)


def test_a_file_of_bad_arrays_only(tmp_path):
    np.savez(tmp_path / "bad.npz", a=np.arange(3), b=np.ones(4))
    with pytest.raises(FileError, match=r"(?s)nothing to audit.*a of shape"):
        tasks(entries(tmp_path / "bad.npz"))


def test_single_precision_is_said(tmp_path, rng):
    np.save(tmp_path / "x.npy", rng.standard_normal((9, 4)).astype(np.float32))
    (task,), _ = tasks(entries(tmp_path / "x.npy"))
    assert task.arrays[0].dtype == np.float64
    assert "float32" in task.assumed[1]
