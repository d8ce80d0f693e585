"""`ledger.toml`: the verdict and the headline that every claim is known to have."""

from __future__ import annotations

import json
import math
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nlmodel.errors import FileError
from validation.registry import natural
from validation.run import Result
from validation.verdict import BROKEN


LEDGER = Path(__file__).with_name("ledger.toml")
HEADER = """\
# Verdict and headline number of every claim, as found by `python -m validation --accept`.
# A run that finds another verdict, or a headline further away than |pinned| * rel + absolute, exits with status 1.
"""


@dataclass(frozen=True)
class Pin:
    """What `ledger.toml` says of one claim."""

    verdict: str
    label: str
    value: float
    rel: float
    absolute: float


def read(path: Path = LEDGER) -> dict[str, Pin]:
    """The pins, by id; none when there is no file yet."""
    if not path.exists():
        return {}
    try:
        return {id: Pin(**entry) for id, entry in tomllib.loads(path.read_text(encoding="utf-8")).items()}
    except (tomllib.TOMLDecodeError, TypeError) as error:
        raise FileError(
            f"{path.name} cannot be read", got=error, fix="write it anew with python -m validation --accept"
        ) from error


def write(pins: Mapping[str, Pin], path: Path = LEDGER) -> None:
    """Write the pins in the order of their ids; the file is replaced as a whole."""
    tables = [
        f"[{json.dumps(id)}]\n"
        f"verdict = {json.dumps(pin.verdict)}\n"
        f"label = {json.dumps(pin.label, ensure_ascii=False)}\n"
        f"value = {float(pin.value)!r}\nrel = {float(pin.rel)!r}\nabsolute = {float(pin.absolute)!r}\n"
        for id, pin in sorted(pins.items(), key=lambda item: natural(item[0]))
    ]
    replace(path, HEADER + "\n" + "\n".join(tables))


def replace(path: Path, text: str) -> None:
    """Write `text` to `path` so that a reader sees the old file or the new one, never a part."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
        file.write(text)
    Path(file.name).chmod(path.stat().st_mode if path.exists() else 0o644)
    Path(file.name).replace(path)


def accept(results: Iterable[Result], pins: Mapping[str, Pin]) -> dict[str, Pin]:
    """The pins with those of `results` renewed; a broken claim keeps its old pin."""
    renewed = dict(pins)
    for result in results:
        if result.verdict != BROKEN and (head := result.headline):
            renewed[result.id] = Pin(result.verdict, head.label, head.value, head.rel, head.absolute)
    return renewed


def differences(results: Iterable[Result], pins: Mapping[str, Pin], *, quick: bool) -> list[str]:
    """One sentence for each result that is not as pinned, and one for all that are not pinned.

    In a quick run the headline is not compared where the claim depends on the size of the run.
    """
    results = list(results)
    unknown = [result.id for result in results if result.id not in pins]
    found = [f"not in ledger.toml: {', '.join(unknown)}"] if unknown else []
    for result in results:
        pin, head = pins.get(result.id), result.headline
        if pin is None:
            continue
        if pin.verdict != result.verdict:
            found.append(f"{result.id} is {result.verdict}, pinned as {pin.verdict}")
        elif head and not (quick and result.record.size_dependent) and not agrees(head.value, pin):
            found.append(f"{result.id} has the headline {head.value!r}, pinned as {pin.value!r}")
    return found


def agrees(value: float, pin: Pin) -> bool:
    """|value - pinned| <= |pinned| rel + absolute; two infinities of one sign agree."""
    return value == pin.value or (
        math.isfinite(pin.value) and abs(value - pin.value) <= abs(pin.value) * pin.rel + pin.absolute
    )
