"""The report: one self-contained HTML page."""

from __future__ import annotations

import os
import platform
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from importlib import metadata
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from validation import export, prose, terminal
from validation.mathml import mathml
from validation.outcome import show
from validation.pins import replace
from validation.record import INSTEAD, STATED, UNDER, Control, Evidence, Record
from validation.registry import Claim, Section, section_key
from validation.run import Result
from validation.verdict import VERDICTS


PACKAGES = ("nlmodel", "numpy", "scipy", "torch", "sympy", "hypothesis", "matplotlib")
PRINTED = 8
SYMBOL = re.compile(r"[A-Za-z](_[A-Za-z0-9])?")
GREEK = {"alpha", "beta", "delta", "lambda", "mu", "omega", "phi", "pi", "psi", "rho", "sigma", "theta", "xi"}
SUPERSCRIPTS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "−0123456789")


def write(
    results: Sequence[Result],
    claims: Mapping[str, Claim],
    changed: Sequence[str],
    folder: Path,
    *,
    quick: bool,
) -> Path:
    """Write `report.html` into `folder` and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    replace(folder / "report.html", page(results, claims, changed, quick=quick))
    return folder / "report.html"


def page(results: Sequence[Result], claims: Mapping[str, Claim], changed: Sequence[str], *, quick: bool) -> str:
    """The report as text."""
    environment = Environment(
        loader=PackageLoader("validation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        inline=lambda text: Markup(prose.inline(text)),
        prose=lambda text: Markup(prose.paragraphs(text)),
        display=lambda latex: Markup(mathml(latex, display=True)),
        plain=prose.plain,
        number=lambda value: raised(show(value)),
        raised=raised,
        capital=lambda text: text[:1].upper() + text[1:],
        symbol=symbol,
    )
    return environment.get_template("report.html.j2").render(
        results=results,
        claims=claims,
        chapters=chapters(results, claims),
        changed=changed,
        tally=Counter(result.verdict for result in results),
        verdicts=VERDICTS,
        counts=terminal.counts(results),
        facts=facts(quick),
        printed=printed,
        scopes=scopes,
        keepers=keepers,
        separate=separate,
        witness_file=export.witness_file,
    )


def chapters(
    results: Sequence[Result], claims: Mapping[str, Claim]
) -> Iterator[tuple[Section, list[tuple[Claim, Result]]]]:
    """The sections in order, each with its claims; where files share a section, its first introduction is used."""
    ordered = sorted(results, key=lambda r: section_key(claims[r.id].section))
    for _, group in groupby(ordered, key=lambda r: section_key(claims[r.id].section)):
        members = [(claims[r.id], r) for r in group]
        sections = [claim.section for claim, _ in members]
        yield next((section for section in sections if section.intro), sections[0]), members


def facts(quick: bool) -> dict[str, str]:
    """What was run, and with what: nothing that names a machine."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"]
    threads = next((os.environ[name] for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS") if name in os.environ), "")
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "run": "quick: fewer examples, smaller sizes" if quick else "full",
        "Python": platform.python_version(),
        **{name: metadata.version(name) for name in PACKAGES},
        "BLAS": f"{blas}, {f'{threads} thread(s)' if threads else 'as many threads as there are cores'}",
        "seeds": "CRC-32 of the claim's id",
    }


def scopes(record: Record) -> list[tuple[str, list[tuple[Evidence, list[Control]]]]]:
    """The evidence grouped by where it counts, each group with a heading, each check with its wrong twins."""
    headings = {STATED: "As stated", UNDER: "Under the further assumption: ", INSTEAD: "True instead: "}
    groups: dict[tuple[str, str], list[tuple[Evidence, list[Control]]]] = {}
    for k, evidence in enumerate(record.evidence):
        twins = [control for control in record.controls if control.must == "fail" and control.at == k]
        groups.setdefault((evidence.scope, evidence.scope_text), []).append((evidence, twins))
    return [(headings[scope] + text, rows) for (scope, text), rows in groups.items()]


def keepers(record: Record, k: int) -> list[Control]:
    """The controls of the k-th witness."""
    return [control for control in record.controls if control.must == "hold" and control.at == k]


def separate(record: Record) -> list[Control]:
    """The controls that stand on their own."""
    return [control for control in record.controls if control.at is None]


def symbol(name: str) -> str:
    """The name of an array as mathematics, where it is one: K, W_g, omega."""
    if name in GREEK:
        return f"$\\{name}$"
    return f"${name}$" if SYMBOL.fullmatch(name) else name


def raised(text: str) -> Markup:
    """Exponents as superscripts of HTML, which every font has."""
    return Markup(re.sub("[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda m: f"<sup>{m[0].translate(SUPERSCRIPTS)}</sup>", escape(text)))


def printed(data: Mapping[str, Any]) -> Iterable[tuple[str, Markup]]:
    """The data of a witness: small arrays as matrices, larger ones by shape."""
    for name, value in export.flatten(data):
        if not isinstance(value, np.ndarray):
            yield name, Markup(escape(value))
        elif value.ndim > 2 or max(value.shape, default=1) > PRINTED:
            yield name, Markup(f"{' × '.join(map(str, value.shape))} array")
        else:
            yield name, Markup(matrix(value))


def matrix(value: np.ndarray) -> str:
    """A number, column or matrix in MathML."""
    if value.ndim == 0:
        return raised(_entry(value))
    rows = value[None, :] if value.ndim == 1 else value
    cells = "".join(f"<mtr>{''.join(f'<mtd><mn>{_entry(x)}</mn></mtd>' for x in row)}</mtr>" for row in rows)
    return f"<math><mrow><mo>(</mo><mtable>{cells}</mtable><mo>)</mo></mrow></math>"


def _entry(x: Any) -> str:
    if np.iscomplexobj(x):
        return f"{show(float(x.real))} {'+' if x.imag >= 0 else '−'} {show(abs(float(x.imag)))} i"
    return show(float(x))
