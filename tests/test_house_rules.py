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
TESTS = sorted((ROOT / "tests").rglob("*.py"))
HEAVY = (
    "torch",
    "matplotlib",
    "sympy",
    "scipy.optimize",
    "rich",
    "jinja2",
    "mpmath",
    "hypothesis",
    "safetensors",
    "PIL",
)
RUNS_CODE = re.compile(
    r"pickle\.loads?\(|weights_only\s*=\s*False|allow_pickle\s*=\s*True|(?<![\w.])(eval|exec)\(|shell\s*=\s*True"
    r"|extractall\((?!.*filter=)|yaml\.load\("
)


def test_importing_the_library_stays_light():
    code = f"import sys, nlmodel; print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def asserts(path: Path) -> list[int]:
    return [node.lineno for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Assert)]


def test_users_mistakes_are_not_asserted():
    assert {str(path.relative_to(ROOT)): lines for path in LIBRARY if (lines := asserts(path))} == {}
    assert asserts(Path(__file__)) != []  # control: the search does find asserts


def code_runners(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if RUNS_CODE.search(line)]


def test_nothing_we_load_can_run_code():
    found = {str(path.relative_to(ROOT)): code_runners(path.read_text()) for path in LIBRARY + VALIDATION}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "line",
    [
        "pickle.load(f)",
        "np.load(f, allow_pickle=True)",
        "torch.load(f, weights_only=False)",
        "eval(text)",
        "tar.extractall(d)",
    ],
)
def test_the_search_for_code_runners_finds_them(line):
    assert code_runners(line) == [line]


def loose_tolerances(text: str) -> list[int]:
    """Calls with rtol=, atol= or decimal= given as a number."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        for key in node.keywords
        if key.arg in ("rtol", "atol", "decimal", "abs", "rel")
        and isinstance(key.value, ast.Constant)
        and key.value.value
        and not (isinstance(node.func, ast.Name) and node.func.id in SOLVERS)
    ]


SOLVERS = ("cg", "gmres", "solver")  # their rtol is the wanted residual, not a tolerance of a check


def test_tolerances_have_a_reason():
    found = {str(path.relative_to(ROOT)): lines for path in TESTS if (lines := loose_tolerances(path.read_text()))}
    assert found == {}
    assert loose_tolerances("np.allclose(a, b, rtol=1e-3)") == [1]


def test_modules_stay_small():
    long = {str(p.relative_to(ROOT)): n for p in LIBRARY + VALIDATION if (n := len(p.read_text().splitlines())) > 300}
    assert long == {}
