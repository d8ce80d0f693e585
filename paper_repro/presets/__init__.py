"""Sets of runs by name: a TOML file each, with what all rows share and what each row changes."""

from __future__ import annotations

from importlib import resources

from nlmodel._arrays import check_choice
from paper_repro.config import RunConfig, read_toml


PRESETS = ("table1", "table2", "mini", "short", "smoke", "ablation")


def preset(name: str) -> list[tuple[str, RunConfig]]:
    """The rows of a preset, (name of the row, its configuration), in the order of the file."""
    tables = _read(check_choice(name, "preset", PRESETS))
    base = RunConfig.from_mapping(tables["base"])
    return [(row, base.with_(**changes)) for row, changes in tables["rows"].items()]


def printed_errors(table: str) -> dict[str, float]:
    """Test errors in percent that the paper prints for the rows of "table1" or "table2"; none for other presets."""
    return _read("printed").get(table, {})


def _read(name: str) -> dict:
    return read_toml(resources.files("paper_repro.presets").joinpath(f"{name}.toml").read_text(encoding="utf-8"))
