"""Rules of the house that no type checker sees."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest


ROOT = Path(__file__).parent.parent
LIBRARY = sorted((ROOT / "nlmodel").rglob("*.py"))
VALIDATION = sorted((ROOT / "validation").rglob("*.py"))
REPRO = sorted((ROOT / "paper_repro").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
HEAVY = (
    "torch",
    "matplotlib",
    "sympy",
    "scipy.optimize",
    "scipy.spatial",
    "rich",
    "jinja2",
    "mpmath",
    "hypothesis",
    "safetensors",
    "PIL",
)
RUNS_CODE = re.compile(
    r"pickle\.loads?\(|^\s*(import|from) (pickle|marshal|shelve|dill|joblib)\b|torch\.load\((?!.*weights_only=True)"
    r"|weights_only\s*=\s*False|allow_pickle\s*=\s*True|(?<![\w.])(eval|exec)\(|os\.system\(|shell\s*=\s*True"
    r"|extractall\((?!.*filter=)|yaml\.load\("
)


def test_importing_the_library_stays_light():
    code = f"import sys, nlmodel; print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def asserts(path: Path) -> list[int]:
    return [node.lineno for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Assert)]


def test_users_mistakes_are_not_asserted():
    assert {str(path.relative_to(ROOT)): lines for path in LIBRARY + REPRO if (lines := asserts(path))} == {}
    assert asserts(Path(__file__)) != []  # control: the search does find asserts


def code_runners(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if RUNS_CODE.search(line)]


def test_nothing_we_load_can_run_code():
    found = {str(path.relative_to(ROOT)): code_runners(path.read_text()) for path in LIBRARY + VALIDATION + REPRO}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "line",
    [
        "pickle.load(f)",
        "from pickle import load",
        "torch.load(f)",
        "np.load(f, allow_pickle=True)",
        "torch.load(f, weights_only=False)",
        "eval(text)",
        "tar.extractall(d)",
    ],
)
def test_the_search_for_code_runners_finds_them(line):
    assert code_runners(line) == [line]


def loose_tolerances(text: str) -> list[int]:
    """Comparisons whose tolerance is a bare number, by keyword or by place, or is left to `approx`."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        given = [key.value for key in node.keywords if key.arg in ("rtol", "atol", "decimal", "abs", "rel")]
        given += node.args[2:] if COMPARES.search(name) else []
        if name not in SOLVERS and (any(map(is_number, given)) or (name == "approx" and not given)):
            found.append(node.lineno)
    return found


def is_number(node: ast.AST) -> bool:
    """A number other than 0, written out: 1e-3, -10, 2 * 1e-6."""
    parts = list(ast.walk(node))
    written = all(isinstance(p, ast.Constant | ast.UnaryOp | ast.BinOp | ast.operator | ast.unaryop) for p in parts)
    return written and any(isinstance(p, ast.Constant) and p.value for p in parts)


COMPARES = re.compile(r"allclose|isclose|almost_equal|assert_allclose")
SOLVERS = ("cg", "gmres", "solver")  # their rtol is the wanted residual, not a tolerance of a check


def test_tolerances_have_a_reason():
    found = {str(path.relative_to(ROOT)): lines for path in TESTS if (lines := loose_tolerances(path.read_text()))}
    assert found == {}


@pytest.mark.parametrize(
    "line",
    [
        "np.allclose(a, b, rtol=1e-3)",
        "assert_array_almost_equal(u, exact, -10)",
        "assert_array_almost_equal(u, exact, decimal=-10)",
        "np.testing.assert_allclose(a, b, 2 * 1e-6)",
        "x == pytest.approx(y)",
    ],
)
def test_the_search_for_loose_tolerances_finds_them(line):
    assert loose_tolerances(line) == [1]
    assert loose_tolerances("np.allclose(a, b, rtol=tolerance('reduction', n=3), atol=0)") == []


def test_modules_stay_small():
    long = {
        str(p.relative_to(ROOT)): n
        for p in LIBRARY + VALIDATION + REPRO
        if (n := len(p.read_text().splitlines())) > 300
    }
    assert long == {}
