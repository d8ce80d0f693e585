"""The report of an experiment: one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from nlmodel.audit.page import svg
from nlmodel.audit.words import to_html
from paper_repro.figures import Picture, Run, null_of
from paper_repro.report.findings import findings, last_signs
from paper_repro.tables import Table


def render(
    table: Table,
    runs: Sequence[Run],
    pictures: Sequence[Picture],
    *,
    synthetic: bool,
    facts: Mapping[str, str],
    command: str,
) -> str:
    """The page as a string.

    Parameters
    ----------
    table, runs, pictures : what to show.
    synthetic : whether the images were a stand-in; said before anything else.
    facts : how the runs were made, name and value.
    command : the command that made, and goes on with, the experiment.
    """
    environment = Environment(
        loader=PackageLoader("paper_repro.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    serial = iter(range(10**6))
    environment.filters |= {
        "prose": lambda text: Markup(to_html(text)),
        "drawn": lambda picture: Markup(svg(picture.draw(), f"f{next(serial)}")),
    }
    return environment.get_template("page.html.j2").render(
        table=table,
        findings=list(findings(runs)),
        null=null_of(64, 32).signs,
        signs=[found.cells for found in last_signs(runs)],
        signs_header=("network", "seed", "epoch", "weight", "negative", "z by number", "z by size", "pattern"),
        pictures=pictures,
        synthetic=synthetic,
        facts=facts,
        command=command,
        unfinished=[run for run in runs if run.status not in ("finished", "diverged")],
    )
