"""One run, step by step: everything between the first batch and the result."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

import torch

from paper_repro.config import RunConfig, run_id
from paper_repro.training.checkpoint import Owner, Progress, load_checkpoint, refusal, save_checkpoint
from paper_repro.training.display import Display
from paper_repro.training.divergence import verdict, weight_norm, with_context
from paper_repro.training.engine import Engine
from paper_repro.training.folder import Folder, device_name
from paper_repro.training.observe import PROBES, is_logged, observe, to_line
from paper_repro.training.result import DIVERGED, FINISHED, PAUSED, Result
from paper_repro.training.schedule import learning_rate


LOGS_EVERY = 1.0  # seconds between two rewritings of log.csv and spectra.jsonl


@dataclass(frozen=True)
class Limits:
    """When to pause: at a reading of time.monotonic(), or when `stop` says so; and the seconds between checkpoints."""

    deadline: float = math.inf
    checkpoint_every: float = 60.0
    stop: Callable[[], bool] | None = None

    @property
    def reached(self) -> bool:
        """Whether it is time to pause; `stop` is asked first, because it may raise where nothing must be written."""
        return (self.stop is not None and self.stop()) or time.monotonic() >= self.deadline


class Run:
    """A configuration and a seed on an engine, from where it stood to where it ends."""

    def __init__(self, config: RunConfig, seed: int, engine: Engine, folder: Folder, limits: Limits, data: str):
        self.config, self.seed, self.engine, self.folder, self.limits = config, seed, engine, folder, limits
        self.owner = Owner(run_id(config, seed), config.digest(), data, engine.group.size)
        self.steps = math.ceil(engine.images / config.batch_size)  # of an epoch
        self.progress = self._resume()
        self._marked = self._saved = self._logged = time.monotonic()

    def work(self, display: Display) -> Generator[None, None, Result]:
        """Train to the end, or to the deadline; yields after each step that was handed to the device.

        The state of the run is that of the last checkpoint and all of it: a process may be killed anywhere.
        """
        now, engine = self.progress, self.engine
        if not now.spectra:
            self._observe()
        self._mark()
        while now.epoch < self.config.epochs:
            for batch in engine.batches(now.epoch, self.seed, now.step):
                engine.train_step(batch, learning_rate(self.config, now.epoch, now.epoch * self.steps + now.step))
                now.step += 1
                yield
                if self._reads_freely and not math.isfinite(engine.read()[0]):
                    return self._diverged("the loss is not finite")
                if display.due:
                    display.update(now.epoch * self.steps + now.step, self._told())
                if engine.group.size == 1 and now.step < self.steps:  # states of a group agree between epochs only
                    if self.limits.reached:
                        return self._paused()
                    if time.monotonic() >= self._saved + self.limits.checkpoint_every:
                        self._save()
            reason = self._finish_epoch()
            if reason is not None:
                return self._diverged(reason)
            late = engine.group.leader_says(self.limits.reached, engine.device)
            if late and now.epoch < self.config.epochs:
                return self._paused()
            if time.monotonic() >= self._saved + self.limits.checkpoint_every:
                self._save()
        self._save()
        self.folder.write_weights(engine.network, self.config)
        return self._result(FINISHED)

    # ------------------------------------------------------------------ the parts of an epoch

    @property
    def _reads_freely(self) -> bool:
        """Whether a look at the sums makes nobody wait."""
        return self.engine.device.type == "cpu" and self.engine.group.size == 1

    def _finish_epoch(self) -> str | None:
        """Evaluate, log and look for divergence; the reason when there is one."""
        now, engine, config = self.progress, self.engine, self.config
        engine.finish_epoch()
        train_loss, train_error = engine.read()
        training = now.training_seconds + self._mark()
        rate = learning_rate(config, now.epoch, now.epoch * self.steps + now.step - 1)
        now.epoch, now.step, now.training_seconds = now.epoch + 1, 0, 0.0
        engine.totals.zero_()
        tested = now.epoch % config.evaluate_every == 0 or now.epoch == config.epochs
        test_loss, test_error = engine.evaluate() if tested else (None, None)
        norm = float(weight_norm(engine.network))
        sizes = self._observe() if math.isfinite(norm) and is_logged(config, now.epoch) else {}
        self._mark()
        row = {
            "epoch": now.epoch,
            "lr": rate,
            "train_loss": train_loss,
            "train_error": train_error,
            "test_loss": test_loss,
            "test_error": test_error,
            "images_per_second": engine.images / training,
            "seconds": now.seconds - sum(row["seconds"] for row in now.rows),
        }
        now.rows.append(row)
        self.folder.write_scalars(row)
        if time.monotonic() >= self._logged + LOGS_EVERY:
            self._write_logs()
        return verdict(
            [row["train_loss"] for row in now.rows],
            classes=engine.classes,
            planned=config.epochs,
            norm=norm,
            norm_at_start=now.norm_at_start,
            features=sizes,
        )

    def _observe(self) -> dict[str, float]:
        """Log the spectra where they are finite; the mean squares of the features by place."""
        images, _ = next(iter(self.engine.pipeline.test_batches(PROBES)))
        record = observe(self.engine.network, images, self.progress.epoch)
        line = to_line(record)
        if line is not None:
            self.progress.spectra.append(line)
        return {energies["place"]: energies["mean_square"] for energies in record["features"]}

    def _told(self) -> str:
        now = self.progress
        known = now.rows[-1] if now.rows else None
        if self._reads_freely:
            loss, error = self.engine.read()
            told = f"loss {loss:.3f}, error {error:.1f} %"
        else:
            told = "" if known is None else f"loss {known['train_loss']:.3f}, error {known['train_error']:.1f} %"
        if known is not None and known["test_error"] is not None:
            told += f", test {known['test_error']:.1f} %"
        seconds = now.training_seconds + time.monotonic() - self._marked
        speed = now.step * self.config.batch_size / seconds if seconds > 0 else 0.0
        return f"epoch {now.epoch + 1}/{self.config.epochs}, {told}, {speed:.0f} images/s"

    # ------------------------------------------------------------------ ways out

    def _resume(self) -> Progress:
        """Where the run stands, its tensors put into the engine."""
        self.engine.reset(self.seed)
        norm = float(weight_norm(self.engine.network))
        found = load_checkpoint(self.folder.checkpoint, self.owner)
        if found is None:
            return Progress(0, 0, [], [], 0.0, 0.0, norm)
        progress, tensors = found
        if progress.epoch > self.config.epochs or progress.step >= self.steps:
            raise refusal(
                self.folder.checkpoint,
                f"epoch {progress.epoch} of {self.config.epochs}, step {progress.step} of epochs of {self.steps}",
                "it does not hold a state of this run",
            )
        self.engine.load(tensors)
        return progress

    def _mark(self) -> float:
        """Seconds since the last mark, which are added to those of the run."""
        before, self._marked = self._marked, time.monotonic()
        self.progress.seconds += self._marked - before
        return self._marked - before

    def _save(self) -> None:
        now = self.progress
        passed = self._mark()
        now.training_seconds += passed if now.step else 0.0
        if self.folder.writes:
            save_checkpoint(self.folder.checkpoint, self.owner, now, self.engine.state())
        self._write_logs()
        self._saved = time.monotonic()

    def _write_logs(self) -> None:
        self.folder.write_logs(self.progress.rows, self.progress.spectra)
        self._logged = time.monotonic()

    def _diverged(self, reason: str) -> Result:
        now = self.progress
        epoch, step = (now.epoch, now.step) if now.step else (now.epoch - 1, self.steps)
        norm = float(weight_norm(self.engine.network))
        last = json.loads(now.spectra[-1]) if now.spectra else None
        self._mark()
        self._write_logs()
        return self._result(DIVERGED, with_context(reason, epoch, step, norm, now.norm_at_start, last))

    def _paused(self) -> Result:
        self._save()
        asked = self.limits.stop is not None and self.limits.stop()
        return self._result(PAUSED, "an interrupt" if asked else "the time limit was reached")

    def _result(self, status: str, reason: str | None = None) -> Result:
        rows, engine = self.progress.rows, self.engine
        tested = [(row["test_error"], row["epoch"]) for row in rows if row["test_error"] is not None]
        best = min(tested, default=(None, None))
        result = Result(
            run_id=self.owner.run_id,
            config_digest=self.owner.config_digest,
            seed=self.seed,
            status=status,
            reason=reason,
            epochs_done=len(rows),
            final_error=tested[-1][0] if tested else None,
            best_error=best[0],
            best_epoch=best[1],
            final_train_error=rows[-1]["train_error"] if rows else None,
            seconds=self.progress.seconds,
            images_per_second=statistics.median(row["images_per_second"] for row in rows) if rows else None,
            parameters=sum(p.numel() for p in engine.network.parameters()),
            data=self.owner.data,
            device=device_name(engine.device),
            threads=torch.get_num_threads(),
            processes=engine.group.size,
            date=datetime.now(UTC).date().isoformat(),
            versions={name: version(name) for name in ("nlmodel", "numpy", "torch")},
        )
        if self.folder.writes:
            result.save(self.folder.path)
        return result
