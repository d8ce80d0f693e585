"""An experiment as a whole: train, collect, tables, figures, one page; the common part of `mini` and `short`."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from paper_repro.commands.failures import DONE, FAILED, tell_report


if TYPE_CHECKING:
    from paper_repro.config import RunConfig
    from paper_repro.sweep import Job

NO_DATA = """No folder of CIFAR files was given: this run uses SYNTHETIC stand-in images, and shows nothing about CIFAR.
For the real ones, get cifar-10-binary.tar.gz from {origin}cifar.html, or run
    python -m paper_repro data --download DIR
and name the folder: {again}"""


def conduct(preset_name: str, options: argparse.Namespace, *, command: str, again: str) -> int:
    """Train what is left of a preset within the time limit, then write results, table, figures and page.

    Parameters
    ----------
    preset_name : with no --data its rows are trained on the synthetic stand-in, and named so.
    command : what the page says made it.
    again : how to run it on real images.
    """
    from paper_repro.data.published import ORIGIN
    from paper_repro.presets import preset
    from paper_repro.sweep import Runner, queue, sweep
    from paper_repro.sweep.runner import SYNTHETIC

    rows = preset(preset_name)
    if options.data is None:
        print(NO_DATA.format(again=again, origin=ORIGIN))
        rows = [(row, config.with_(dataset=SYNTHETIC)) for row, config in rows]
    jobs = queue(rows, options.seeds)
    runs = options.out / "runs"
    runner = Runner(runs, options.data, options.device, options.threads, not options.quiet)
    runner.check(jobs)
    report = sweep(jobs, runs, [runner], time_limit=options.time_limit)
    tell_report(report)
    name = preset_name if options.data is not None else f"{preset_name} ({SYNTHETIC})"
    write_report(name, rows, jobs, options.out, command=command)
    return FAILED if report.failed else DONE


def write_report(
    name: str, rows: Sequence[tuple[str, RunConfig]], jobs: Sequence[Job], out: Path, *, command: str
) -> None:
    """results.csv, table.{md,tex,csv}, figures/ and report.html, from whatever the runs have logged."""
    from paper_repro.commands.figures import draw
    from paper_repro.commands.tables import show, write
    from paper_repro.figures import load_runs, pictures
    from paper_repro.files import write_atomically
    from paper_repro.report import render
    from paper_repro.sweep import collect
    from paper_repro.sweep.runner import SYNTHETIC
    from paper_repro.tables import build_table
    from paper_repro.tables.printed import printed

    results = collect(name, jobs, out / "runs", out / "results.csv")
    synthetic = any(config.dataset == SYNTHETIC for _, config in rows)
    table = build_table(name, rows, results, {} if synthetic else printed(name))
    runs = load_runs(jobs, out / "runs")
    drawn = [replace(picture, draw=functools.cache(picture.draw)) for picture in pictures(runs)]
    show([table])
    write(table, out, "table")
    draw(drawn, out / "figures", ["svg", "png"])
    page = render(table, runs, drawn, synthetic=synthetic, facts=facts(rows, results), command=command)
    write_atomically(out / "report.html", page.encode())
    print(f"Report: {out / 'report.html'}")


def facts(rows: Sequence[tuple[str, RunConfig]], results: Sequence[dict[str, str]]) -> dict[str, str]:
    """How the runs were made: recipe, device, versions; nothing that names a machine or a folder."""
    config = rows[0][1]
    told = {
        "network": f"PreResNet-{config.depth}, {config.unit} units, blocks after the second residual block",
        "recipe": f"{config.epochs} epochs, batches of {config.batch_size}, learning rate {config.lr:g} divided by "
        f"{1 / config.gamma:g} after epochs {', '.join(map(str, config.milestones))}, momentum {config.momentum:g}, "
        f"weight decay {config.weight_decay:g}",
        "block": f"affinity {config.affinity}, W_Z at start {config.w_init}, norm {config.norm or 'none'}",
    }
    digests = {row_config.digest()[:10] for _, row_config in rows}
    ours = [row for row in results if row["config_digest"] in digests]
    for column in ("device", "threads", "torch", "nlmodel", "date"):
        values = sorted({row[column] for row in ours if row[column]})
        if values:
            told[column] = ", ".join(values)
    seconds = sum(float(row["seconds"]) for row in ours if row["seconds"])
    if seconds:
        told["training time"] = f"{seconds / 60:.1f} min for {len(ours)} runs"
    return told
