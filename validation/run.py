"""Running claims: one at a time, or several processes, always to a `Result`."""

from __future__ import annotations

import os
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context

from validation import prose
from validation.figures import Picture, develop
from validation.ledger import Ledger
from validation.mathml import mathml
from validation.record import Headline, Record
from validation.registry import Claim, explore
from validation.verdict import BROKEN, headline, judge


@dataclass(frozen=True)
class Result:
    """What examining one claim gave."""

    id: str
    verdict: str
    reasons: tuple[str, ...]
    record: Record = field(repr=False)
    headline: Headline | None
    pictures: tuple[Picture, ...] = field(repr=False)
    seconds: float
    traceback: str = field(default="", repr=False)


def run_claim(claim: Claim, *, quick: bool = False, pictures: bool = False) -> Result:
    """Examine one claim. Whatever it raises makes it `broken`; a numerical warning raises."""
    ledger = Ledger(claim, quick=quick)
    record, developed, trace = ledger.record, (), ""
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            claim.examine(ledger)
            _typeset(claim, record)
            if pictures:
                developed = tuple(develop(drawing, claim.id) for drawing in record.figures)
        verdict, reasons = judge(record, claim.assumptions)
    except Exception as error:
        trace = traceback.format_exc()
        verdict, reasons = BROKEN, [f"raised {type(error).__name__}: {error}"]
    seconds = time.perf_counter() - start
    record.figures.clear()
    return Result(claim.id, verdict, tuple(reasons), record, headline(record), developed, seconds, trace)


def run_all(claims: Mapping[str, Claim], *, quick: bool, pictures: bool, jobs: int) -> Iterator[Result]:
    """The results as they come: in order with one job, in any order with more."""
    if jobs == 1:
        for claim in claims.values():
            yield run_claim(claim, quick=quick, pictures=pictures)
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by the BLAS of the new processes, which share the cores
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        tasks = [pool.submit(_run_by_id, id, quick, pictures) for id in claims]
        for task in as_completed(tasks):
            yield task.result()


def _run_by_id(id: str, quick: bool, pictures: bool) -> Result:
    return run_claim(explore()[0][id], quick=quick, pictures=pictures)


def _typeset(claim: Claim, record: Record) -> None:
    """Typeset every text once, so that a formula that cannot be set breaks its own claim and not the report."""
    texts = [claim.statement, claim.title, claim.proof, claim.section.intro, *claim.assumptions]
    texts += [text for e in record.evidence for text in (e.name, e.scope_text, e.note)]
    texts += [text for w in record.witnesses for text in (w.name, w.note, *w.satisfies)]
    texts += [control.name for control in record.controls] + [drawing.caption for drawing in record.figures]
    texts += [record.headline.label] if record.headline else []
    for text in texts:
        prose.paragraphs(text)
    if claim.formula:
        mathml(claim.formula, display=True)
