"""The recipes of the documentation, as far as they run without a cluster or PETSc."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array, diags_array

import nlmodel as nl
from nlmodel.testing import tolerance


DOCS = Path(__file__).parents[2] / "docs"


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / name).read_text(), re.DOTALL)


@pytest.mark.parametrize("name", ["slurm.md", "petsc.md"])
def test_every_recipe_is_a_program(name):
    found = blocks(name, "python")
    assert len(found) >= 2
    for block in found:
        ast.parse(block)


def test_shell_scripts_have_no_mistake_of_form():
    def mistakes(script: str) -> int:
        return subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False).returncode

    assert [mistakes(block) for block in blocks("slurm.md", "bash")].count(0) == len(blocks("slurm.md", "bash")) >= 1
    assert mistakes("if true; then") != 0  # control


def loaded(path: Path) -> csr_array:
    """A matrix as MatLoad reads it."""
    content = path.read_bytes()
    mark, rows, columns, entries = np.frombuffer(content, ">i4", 4).tolist()
    assert mark == 1211216
    counts = np.frombuffer(content, ">i4", rows, 16)
    indices = np.frombuffer(content, ">i4", entries, 16 + 4 * rows)
    data = np.frombuffer(content, ">f8", entries, 16 + 4 * rows + 4 * entries)
    assert len(content) == 16 + 4 * rows + 12 * entries
    indptr = np.concatenate([[0], np.cumsum(counts)])
    return csr_array((data.astype(float), indices.astype(int), indptr), shape=(rows, columns))


def test_the_binary_file_is_the_operator(tmp_path):
    subprocess.run([sys.executable, "-c", blocks("petsc.md", "python")[0]], cwd=tmp_path, check=True)
    found = loaded(tmp_path / "L.petsc")
    x = np.random.default_rng(0).uniform(0, 1, (2000, 2))
    op = nl.NonlocalOperator.from_points(x, nl.kernels.TopHat(0.1, 2), "row", storage="sparse")
    assert (found != op.to_csr()).nnz == 0
    assert (found != op.to_csr().T.tocsr()).nnz > 0  # control: another matrix differs


def test_the_problem_with_a_mass_matrix_is_symmetric():
    x = np.random.default_rng(1).uniform(0, 1, (60, 2))
    op = nl.NonlocalOperator.from_points(x, nl.kernels.TopHat(0.5, 2), "row", storage="sparse")
    A = op.to_csr()
    stiffness = (-diags_array(op.measure) @ A).toarray()
    bound = tolerance("reduction", n=4, scale=float(np.abs(stiffness).max()))
    assert np.max(np.abs(stiffness - stiffness.T)) <= bound
    assert np.max(np.abs(A.toarray() - A.toarray().T)) > bound  # control: L itself is not
