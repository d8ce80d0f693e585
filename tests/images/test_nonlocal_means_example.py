"""The example of non-local means runs as it stands, and its steps take noise away."""

import re
import subprocess
import sys
from pathlib import Path


EXAMPLE = Path(__file__).parents[2] / "examples" / "nonlocal_means.py"


def test_the_example_draws_what_it_prints(tmp_path):
    command = [sys.executable, str(EXAMPLE), "--size", "96", "--out", str(tmp_path / "deep" / "pictures.png")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert re.search(r"differ by \d\.\de-1[4-9]", said)
    noisy, *better = map(float, re.findall(r"(\d+\.\d) dB", said))
    assert len(better) == 3
    assert min(better) > noisy + 3
    assert (tmp_path / "deep" / "pictures.png").read_bytes().startswith(b"\x89PNG")
