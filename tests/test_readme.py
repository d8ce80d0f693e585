"""The README's example is the example file, prints what the README says, and the claims table is up to date."""

import re
import subprocess
import sys
from pathlib import Path

from validation.cli import main


ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def block(name: str) -> str:
    return re.search(rf"<!-- {name}:begin -->\n(.*?)<!-- {name}:end -->", README, re.DOTALL)[1]


def rounding_hidden(text: str) -> str:
    """Numbers of the size of a rounding error differ from one BLAS to the next."""
    return re.sub(r"\b\d(\.\d+)?e-1[4-9]", "~0", text)


def test_the_example_is_the_file_in_examples():
    shown = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    _, code = (ROOT / "examples" / "quickstart.py").read_text().split("\n\n", 1)
    assert shown == code


def test_the_example_prints_what_the_readme_says():
    command = [sys.executable, str(ROOT / "examples" / "quickstart.py")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    said = re.search(r"```text\n(.*?)```", block("quickstart"), re.DOTALL)[1]
    assert rounding_hidden(printed) == rounding_hidden(said)


def test_the_network_example_says_what_it_prints():
    code = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[1]
    said = re.findall(r"print\(.*\)  # (\w+)", code)
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() == said


def test_the_picture_is_made_by_the_command_beside_it(tmp_path):
    target = tmp_path / "damping.svg"
    subprocess.run([sys.executable, str(ROOT / "examples" / "damping.py"), str(target)], check=True)
    assert target.read_text().count("<path") == (ROOT / "docs" / "damping.svg").read_text().count("<path")


def test_the_claims_table_is_up_to_date():
    assert main(["table", "--check", "--readme", str(ROOT / "README.md")]) == 0
