"""The presets: the paper's rows, its numbers beside them, nothing twice."""

import pytest

from nlmodel.errors import ChoiceError
from paper_repro.presets import PRESETS, preset, printed_errors


@pytest.mark.parametrize("name", PRESETS)
def test_rows_are_different_configurations(name):
    rows = preset(name)
    assert len({config.digest() for _, config in rows}) == len(rows)
    assert len({row for row, _ in rows}) == len(rows)


@pytest.mark.parametrize("name", PRESETS)
def test_names_say_what_the_rows_are(name):
    for row, config in preset(name):
        if config.form != "baseline":
            assert f"{config.form}-{config.blocks}" in row
        assert row.startswith("different-") == (config.places == "different")
        assert ("lr0.01" in row) == (config.lr == 0.01)


@pytest.mark.parametrize(("table", "depth", "dataset"), [("table1", 20, "cifar10"), ("table2", 56, "cifar100")])
def test_every_printed_number_has_its_row(table, depth, dataset):
    rows = dict(preset(table))
    assert set(printed_errors(table)) <= set(rows)
    assert set(rows) - set(printed_errors(table)) <= {"original-4", "original-1"}  # only in the figures
    assert all(config.depth == depth and config.dataset == dataset for config in rows.values())


def test_the_papers_tables():
    assert printed_errors("table1")["proposed-5"] == min(printed_errors("table1").values()) == 7.29
    assert printed_errors("table2")["proposed-5"] == min(printed_errors("table2").values()) == 25.29
    assert printed_errors("mini") == {}


def test_the_short_preset_is_the_recipe_in_twenty_epochs():
    rows = dict(preset("short"))
    assert list(rows) == ["baseline", "original-2", "original-4", "proposed-4"]
    for row, config in rows.items():
        assert config == dict(preset("table1"))[row].with_(epochs=20, milestones=[10, 15])


def test_unknown_presets():
    with pytest.raises(ChoiceError, match="table1"):
        preset("table3")
