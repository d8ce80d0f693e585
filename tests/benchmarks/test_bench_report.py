"""The files: what the JSON and the Markdown page hold."""

import json
from dataclasses import replace

import pytest

from benchmarks import export
from benchmarks.case import Contestant
from benchmarks.cli import main
from benchmarks.figures import timed
from benchmarks.peers import installed
from tests.benchmarks.bench_cases import RACE, Ticking, absent, contestant, workload


@pytest.fixture
def written(tmp_path, monkeypatch, capsys):
    """Runs the command on one race and returns what it wrote, and the folder of kept results."""
    monkeypatch.setattr(export, "RESULTS", tmp_path / "results")

    def run(*contestants, words=()):
        line = ["nn", "--no-memory", "--out", str(tmp_path), *words]
        main(line, [workload(*contestants)], Ticking())
        page = (tmp_path / "nn.json").read_text(encoding="utf-8")
        return json.loads(page), (tmp_path / "nn.md").read_text(encoding="utf-8"), capsys.readouterr().out

    return run


def test_json_holds_every_sample_and_what_follows(written):
    ours, peer = contestant("ours", 0.25, same_as="peer"), contestant("peer", 1.0)
    data, _, _ = written(ours, peer, words=["--runs", "2", "--rounds", "5"])
    (case,) = data["cases"]
    assert (case["workload"], case["case"]) == ("W0", RACE)
    first, second = case["contestants"]
    assert first["measures"]["forward"]["samples"] == [[0.25] * 5] * 2
    assert second["measures"]["forward"]["seconds"] == 1.0
    assert first["measures"]["forward"]["peak_bytes"] is None
    (figure,) = data["figures"]
    assert (figure["status"], figure["ratio"], figure["runs"]) == ("met", 0.25, [0.25, 0.25])
    assert (figure["must"], figure["goal"], figure["goal_reached"]) == (0.5, 0.3, True)
    assert [(a["how"], a["holds"]) for a in data["agreements"]] == [
        ("float64", True), ("float32", True), ("float32, as timed", True),
    ]  # fmt: skip
    share = first["measures"]["forward"]["share_of_limit"]
    assert share * 0.25 * data["ceilings"]["float32 products"] >= 1e9 * (1 - 2**-40)  # no way is below the roofline
    assert data["machine"]["packages"]["torch"]
    assert set(data["machine"]["peers"]) == set(installed.DISTRIBUTIONS)


def test_markdown_holds_the_tables_and_the_figures(written):
    _, page, out = written(contestant("ours", 0.25, same_as="peer"), contestant("peer", 1.0))
    assert "| peer | forward | 1000 |" in page
    assert "| 0.250 |" in page
    assert "| W0 race, forward, time of ours | 0.250 | 0.5 | 0.3 | met, goal reached |" in page
    assert "ours / peer, the fastest peer: 0.250" in out
    assert "- forward: ours / peer, the fastest peer: 0.250" in page


def test_errors_have_a_column_where_there_are_errors(written):
    data, page, _ = written(contestant("ours", 0.25, error=0.125), contestant("peer", 1.0))
    assert "| error |" in page
    assert data["cases"][0]["contestants"][0]["measures"]["forward"]["error"] == 0.125
    assert "| error |" not in written(contestant("ours", 0.25), contestant("peer", 1.0))[1]


def test_a_missing_peer_is_named_everywhere(written):
    data, page, out = written(contestant("ours", 0.25, same_as="peer"), Contestant("peer", absent))
    assert data["cases"][0]["contestants"][1] == {
        "contestant": "peer", "trouble": "rival is not installed", "measures": {},
    }  # fmt: skip
    assert "- peer: rival is not installed" in page
    assert "peer: rival is not installed" in out
    assert "| peer | forward | - |" in page


def test_values_that_are_not_finite_stay_out_of_the_json(written):
    data, _, _ = written(contestant("ours", 0.25, value=float("nan"), same_as="peer"), contestant("peer", 1.0))
    assert data["agreements"][0]["gaps"] == {"output": None}
    assert not data["agreements"][0]["holds"]


def test_results_are_kept_by_workload_and_machine(written, tmp_path):
    written(contestant("ours", 0.25, same_as="peer"), contestant("peer", 1.0))
    assert not (tmp_path / "results").exists()
    data, _, _ = written(contestant("ours", 0.25, same_as="peer"), contestant("peer", 1.0), words=["--keep"])
    (kept,) = (tmp_path / "results").iterdir()
    assert json.loads(kept.read_text(encoding="utf-8")) == data
    assert kept.name.startswith("W0-")


def test_of_two_workloads_each_is_kept_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "RESULTS", tmp_path / "results")
    first = workload(contestant("ours", 0.25, same_as="peer"), contestant("peer", 1.0))
    second = workload(contestant("ours", 0.75, same_as="peer"), contestant("peer", 1.0))
    case = replace(second.cases[0], name="W00 race")
    second = replace(second, name="W00", cases=(case,), figures=(timed(case.name, "forward", "ours", "peer", 0.9),))
    main(["nn", "--no-memory", "--keep", "--out", str(tmp_path)], [first, second], Ticking())
    pages = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((tmp_path / "results").iterdir())]
    assert [case["workload"] for page in pages for case in page["cases"]] == ["W0", "W00"]
    assert [figure["ratio"] for page in pages for figure in page["figures"]] == [0.25, 0.75]
    assert [{a["case"] for a in page["agreements"]} for page in pages] == [{RACE}, {"W00 race"}]


def test_a_part_of_a_workload_is_not_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(export, "RESULTS", tmp_path / "results")
    words = ["scale", "--keep", "--only", "W4 1024", "--out", str(tmp_path)]
    with pytest.raises(SystemExit):
        main(words, clock=Ticking())
    assert "whole workloads" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["scale", "--keep", "--quick", "--only", "W4", "--out", str(tmp_path)], clock=Ticking())
    assert "--quick" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert main(["scale", "--list", "--keep", "--only", "W4"]) == 0  # control: a whole one is
