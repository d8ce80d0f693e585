"""The table of claims in README.md, made from the claims and `ledger.toml`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from nlmodel.errors import FileError
from validation.outcome import show
from validation.pins import Pin, replace
from validation.prose import plain
from validation.registry import Claim
from validation.verdict import VERDICTS


BEGIN, END = "<!-- claims:begin -->", "<!-- claims:end -->"
COMMAND = "python -m validation table"


def markdown(claims: Mapping[str, Claim], pins: Mapping[str, Pin]) -> str:
    """The table, with the count of each verdict above it."""
    tally = Counter(pins[id].verdict for id in claims if id in pins)
    summary = ", ".join(f"{tally[verdict]} {verdict}" for verdict in VERDICTS if tally[verdict])
    rows = ["| id | claim | source | verdict | headline |", "|---|---|---|---|---|"]
    for id, claim in claims.items():
        pin = pins.get(id)
        number = f"{show(pin.value)} ({plain(pin.label)})" if pin else ""
        cells = (id, plain(claim.title), plain(claim.paper), f"**{pin.verdict}**" if pin else "not run", number)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([f"{len(claims)} claims: {summary}. Made by `{COMMAND}`.", "", *rows])


def update(readme: Path, claims: Mapping[str, Claim], pins: Mapping[str, Pin], *, check: bool) -> int:
    """Write the table between its markers; with `check` only compare, and return 1 when it is out of date."""
    if not readme.exists():
        raise FileError(
            "there is no such file", got=readme, fix="run from the root of the project, or give --readme FILE"
        )
    text = readme.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise FileError(
            f"{readme.name} needs one pair of markers for the table of claims",
            got=f"{text.count(BEGIN)} of {BEGIN} and {text.count(END)} of {END}",
            fix=f"put {BEGIN} and {END} on lines of their own where the table belongs",
        )
    before, rest = text.split(BEGIN)
    renewed = f"{before}{BEGIN}\n{markdown(claims, pins)}\n{END}{rest.split(END)[1]}"
    if check:
        print(f"{readme}: the table of claims is {'up to date' if renewed == text else f'out of date, run {COMMAND}'}")
        return int(renewed != text)
    replace(readme, renewed)
    return 0
