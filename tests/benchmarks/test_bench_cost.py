"""Cost against size: the exponent is that of the times, and the picture is drawn."""

import itertools
import json
import sys

import pytest

from benchmarks import cost
from nlmodel.testing import tolerance


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_the_exponent_is_that_of_the_larger_sizes(power):
    found = {2**k: 1e-9 * 2.0 ** (power * k) for k in range(10, 16)}
    assert abs(cost.exponent(found | {2**10: 1.0}) - power) <= tolerance("solve", n=cost.FITTED)
    assert abs(cost.exponent(found | {2**15: 1e9}) - power) > 1  # control


def test_sizes_double_until_a_product_takes_too_long(monkeypatch):
    monkeypatch.setattr(cost, "seconds", lambda size: cost.LONGEST * size / 4096)
    assert list(cost.measure(lambda M: M, 2**20)) == [1024, 2048, 4096]
    assert list(cost.measure(lambda M: M, 2048)) == [1024, 2048]


def test_all_representations_are_measured_and_drawn(monkeypatch, tmp_path, capsys):
    taken = itertools.count(1)
    monkeypatch.setattr(cost, "seconds", lambda call: (call(), float(next(taken)))[1])
    monkeypatch.setattr(cost, "measure", lambda build, largest: {s: cost.seconds(build(s)) for s in (64, 256)})
    monkeypatch.setattr(sys, "argv", ["cost", "--out", str(tmp_path)])
    cost.main()
    assert set(json.loads((tmp_path / "cost.json").read_text())) == set(cost.REPRESENTATIONS)
    assert (tmp_path / "cost.png").read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out.count(": M^") == len(cost.REPRESENTATIONS)
