"""What a reader must know before the numbers: which recipe, which images, how many runs."""

from __future__ import annotations

from collections.abc import Sequence

from paper_repro.tables.gather import PAPER_EPOCHS, RowRuns, is_papers


NETWORK = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "synthetic": "synthetic images"}
ALL = {"cifar10": 50_000, "cifar100": 50_000}


def caption(preset: str, rows: Sequence[RowRuns]) -> str:
    """The caption of the table of a preset, in whole sentences."""
    config = rows[0].config
    images = "all" if config.train_images is None else f"{config.train_images:,}"
    of = f" of {ALL[config.dataset]:,}" if config.train_images is not None and config.dataset in ALL else ""
    name = "synthetic" if config.dataset == "synthetic" else NETWORK[config.dataset]
    told = [
        f"Preset {preset}: PreResNet-{config.depth}, {images}{of} {name} training images, {config.epochs} epochs, "
        f'{seeds(rows)}. Test error in percent after the last epoch; under "best epoch" the median of the smallest.'
    ]
    if config.dataset == "synthetic":
        told.append(
            "These are NOT results on CIFAR: the images are a synthetic stand-in, which shows that the code runs and "
            "nothing else."
        )
    elif not is_papers(config):
        told.append(
            f"Not the paper's recipe, which is {PAPER_EPOCHS} epochs on all images: the errors are not comparable with "
            "the paper's, and orderings seen here are weak evidence about it."
        )
    if any(row.diverged for row in rows):
        told.append(
            "A run that diverged is a result: in medians and statements it counts as a network that guesses; means and "
            "their intervals are over the runs that finished."
        )
    if any(row.other for row in rows):
        told.append(f"{sum(row.other for row in rows)} runs with other configurations are left out.")
    return " ".join(told)


def seeds(rows: Sequence[RowRuns]) -> str:
    """How many seeds the rows have: "5 seeds", "2 to 5 seeds", "no finished run"."""
    counts = [row.runs for row in rows]
    low, high = min(counts), max(counts)
    if high == 0:
        return "no finished run"
    words = f"{high} seed{'s' if high > 1 else ''}"
    return (words if low == high else f"{low} to {words}") + " a row"
