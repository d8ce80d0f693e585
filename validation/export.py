"""`claims.json`, and the witnesses as files."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nlmodel._arrays import to_numpy
from validation.outcome import Outcome
from validation.pins import replace
from validation.record import Control, Evidence, Witness
from validation.registry import Claim
from validation.run import Result


SMALL = 64


def write(results: Iterable[Result], claims: Mapping[str, Claim], folder: Path) -> Path:
    """Write `claims.json`, the witnesses as .npz and the figures as .png into `folder`, which keeps no older ones."""
    results = list(results)
    for name, suffix in (("witnesses", "npz"), ("figures", "png")):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for stale in (folder / name).glob(f"*.{suffix}"):
            stale.unlink()
    for result in results:
        for picture in result.pictures:
            (folder / "figures" / f"{result.id}-{picture.name}.png").write_bytes(picture.png)
        for k, witness in enumerate(result.record.witnesses, 1):
            arrays = {name: value for name, value in flatten(witness.data) if isinstance(value, np.ndarray)}
            if arrays:
                save(folder / witness_file(result.id, k), arrays)
    text = json.dumps([as_json(r, claims[r.id]) for r in results], ensure_ascii=False, indent=1, allow_nan=False)
    replace(folder / "claims.json", text + "\n")
    return folder / "claims.json"


def save(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as .npz, the same bytes for the same arrays; read them with `numpy.load`."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


def witness_file(id: str, k: int) -> str:
    """Where the k-th witness of a claim is saved, below the output folder."""
    return f"witnesses/{id}-{k}.npz"


def as_json(result: Result, claim: Claim) -> dict[str, Any]:
    """One claim as an object of `claims.json`."""
    record, head = result.record, result.headline
    found = [_witness(w, witness_file(result.id, k)) for k, w in enumerate(record.witnesses, 1)]
    return {
        "id": claim.id,
        "section": f"{claim.section.number} {claim.section.title}",
        "paper": claim.paper,
        "title": claim.title,
        "statement": " ".join(claim.statement.split()),
        "formula": claim.formula,
        "assumptions": list(claim.assumptions),
        "verdict": result.verdict,
        "reasons": list(result.reasons),
        "headline": {"label": head.label, "value": _number(head.value), "rel": head.rel, "absolute": head.absolute}
        if head
        else None,
        "evidence": [_evidence(e) for e in record.evidence],
        "controls": [_control(c) for c in record.controls],
        "witness": found[0] if found else None,
        "further_witnesses": found[1:],
        "proof": claim.proof.strip(),
        "figures": [f"figures/{claim.id}-{picture.name}.png" for picture in result.pictures],
        "seconds": round(result.seconds, 3),
        "traceback": result.traceback or None,
    }


def flatten(data: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The arrays, numbers and strings in nested data, each with a dotted name."""
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from flatten(value, f"{name}.{key}" if name else str(key))
    elif isinstance(data, (tuple, list)) and not all(isinstance(x, (int, float)) for x in data):
        for k, value in enumerate(data):
            yield from flatten(value, f"{name}[{k}]")
    elif isinstance(data, (str, bool)) or data is None:
        yield name, str(data)
    elif isinstance(data, (int, float, complex, np.number, tuple, list)) or hasattr(data, "shape"):
        yield name, to_numpy(data)
    else:
        yield name, repr(data)


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "kind": outcome.kind,
        "measured": _number(outcome.measured),
        "at_least": None if outcome.low == -math.inf else outcome.low,
        "at_most": None if outcome.high == math.inf else outcome.high,
        "passed": outcome.passed,
        "detail": outcome.detail,
    }


def _evidence(evidence: Evidence) -> dict[str, Any]:
    scope = {"scope": evidence.scope, "scope_text": evidence.scope_text, "note": evidence.note}
    return {"name": evidence.name, **_outcome(evidence.outcome), **scope, "became_witness": evidence.excused}


def _control(control: Control) -> dict[str, Any]:
    return {
        "name": control.name,
        "of": control.of,
        **_outcome(control.outcome),
        "must": control.must,
        "failed_as_it_must": control.ok,
    }


def _witness(witness: Witness, file: str) -> dict[str, Any]:
    data = dict(flatten(witness.data))
    return {
        "name": witness.name,
        "satisfies": {words: _outcome(outcome) for words, outcome in witness.satisfies.items()},
        "violates": _outcome(witness.violates),
        "data": {name: _value(value) for name, value in data.items()},
        "file": file if any(isinstance(value, np.ndarray) for value in data.values()) else None,
        "note": witness.note,
    }


def _value(value: Any) -> Any:
    """Small arrays in full, larger ones by shape: the file has them."""
    if not isinstance(value, np.ndarray):
        return value
    if value.size > SMALL:
        return {"shape": list(value.shape), "dtype": str(value.dtype)}
    if np.iscomplexobj(value):
        return {"real": _value(value.real), "imag": _value(value.imag)}
    if not np.issubdtype(value.dtype, np.floating):
        return value.tolist()
    return np.array([_number(float(x)) for x in value.ravel()], dtype=object).reshape(value.shape).tolist()


def _number(value: float) -> float | str:
    """JSON has no infinities."""
    return value if math.isfinite(value) else str(value)
