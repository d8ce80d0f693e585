"""`sweep PRESET`: train every row and seed that is not done yet."""

from __future__ import annotations

import argparse
import contextlib
import sys
from dataclasses import replace
from pathlib import Path

from paper_repro.commands import options as opt
from paper_repro.commands.failures import FAILED, tell_report


def add(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "sweep",
        help="train the rows and seeds of a preset, as a queue that can be stopped and resumed",
        description="Trains one seed of every row first. What is finished is skipped, what was paused goes on. Several "
        "sweeps on one --out, also from several machines, share the queue.",
    )
    parser.set_defaults(run=run)
    opt.add_preset(parser)
    opt.add_out(parser)
    opt.add_training(parser)
    parser.add_argument(
        "--stale",
        type=opt.duration,
        default=600.0,
        metavar="TIME",
        help="take over runs whose worker was silent for that long (default 10m)",
    )
    several = parser.add_argument_group("several workers")
    several.add_argument("--workers", type=opt.positive, default=1, metavar="N", help="workers to start (default 1)")
    several.add_argument(
        "--executor",
        metavar="NAME",
        help="processes (default for several workers), threads, or package.module.factory of any "
        "concurrent.futures executor, called with max_workers=N",
    )
    several.add_argument(
        "--allow-import",
        action="store_true",
        help="allow an --executor outside the standard library; importing it runs its code",
    )
    several.add_argument(
        "--slurm",
        type=float,
        metavar="HOURS",
        help="train nothing, print an sbatch script of --workers jobs of that many hours each",
    )


def run(options: argparse.Namespace) -> int:
    """Train, or print the script; 2 when a run failed."""
    from paper_repro.presets import preset
    from paper_repro.sweep import Runner, make_executor, queue, sbatch_script, sweep

    jobs = queue(preset(options.preset), options.seeds)
    if options.slurm is not None:
        print(sbatch_script(_words(options), workers=options.workers, hours=options.slurm), end="")
        return 0
    name = options.executor or ("processes" if options.workers > 1 else None)
    devices = [device.strip() for device in options.device.split(",")]
    runner = Runner(options.out, options.data, devices[0], options.threads, not options.quiet and name is None)
    runner.check(jobs)
    executor = make_executor(name, options.workers, allow_import=options.allow_import) if name else None
    runners = [replace(runner, device=devices[k % len(devices)]) for k in range(options.workers)]
    with executor if executor is not None and hasattr(executor, "__exit__") else contextlib.nullcontext():
        report = sweep(
            jobs, options.out, runners, time_limit=options.time_limit, executor=executor, stale=options.stale
        )
    tell_report(report)
    return FAILED if report.failed else 0


def _words(options: argparse.Namespace) -> list[str]:
    """The command of one worker."""
    words = [Path(sys.executable).name, "-m", "paper_repro", "sweep", options.preset, "--out", str(options.out)]
    words += ["--seeds", ",".join(map(str, options.seeds)) + ","]
    words += ["--data", str(options.data)] if options.data else []
    words += ["--device", options.device] + (["--threads", str(options.threads)] if options.threads else [])
    return [*words, "--stale", f"{options.stale:g}", "--quiet"]
