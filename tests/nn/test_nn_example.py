"""The example of an audit runs as it stands and names what was planted."""

import subprocess
import sys
from pathlib import Path


EXAMPLE = Path(__file__).parents[2] / "examples" / "audit_network.py"


def test_the_example_names_its_plants():
    done = subprocess.run([sys.executable, str(EXAMPLE)], capture_output=True, text=True, check=True)
    *_, first, second, third = done.stdout.splitlines()
    assert first == "  0.nonlocal_block: damping"
    assert second == "  1.nonlocal_block: unstable"
    assert third == "  2.nonlocal_block: healthy"
    assert "Damping: " in done.stdout and "note:" not in done.stdout
