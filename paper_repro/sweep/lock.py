"""Who works on a run: a lock file that any number of processes and machines agree on, through the file system alone.

The file appears whole and once, by a hard link, which is atomic on local file systems and on NFS.  Its holder keeps
touching it; the time of its last touch is compared with that of a file touched now in the same folder, so that the
clocks of the machines need not agree.  The lock of a holder that went silent, or died on this machine, is taken over by
whoever links a file named after the dead holder's token first.  A holder that was silent for so long, but not dead,
finds out after its next step, see `guard`, and writes nothing more; a file that it was just replacing is whole.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from nlmodel._arrays import check_number
from nlmodel.errors import FileError


STALE = 600.0  # seconds without a heartbeat until a lock counts as left behind
BEATS = 10  # heartbeats in this time
LOOK = 1.0  # seconds between two looks of a guard


@dataclass(frozen=True)
class Holder:
    """Who holds a lock: machine, process, and where the process number counts."""

    host: str
    pid: int
    space: str
    token: str

    def is_gone(self) -> bool:
        """True when this process can see that the holder has ended; elsewhere only the heartbeat tells."""
        if (self.host, self.space) != (socket.gethostname(), _space()):
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False


@dataclass(frozen=True)
class Lock:
    """A lock that this process holds."""

    path: Path
    holder: Holder

    @classmethod
    def acquire(cls, path: Path, *, stale: float = STALE) -> Lock | None:
        """The lock at `path`, or None while another worker holds it.

        Parameters
        ----------
        path : the lock file; its folder must exist.
        stale : seconds without a heartbeat after which a lock is taken over, > 0.

        Raises   DomainError: `stale`; FileError: the folder takes no hard links or cannot be written.
        """
        check_number(stale, "stale", above=0.0)
        me = cls(path, Holder(socket.gethostname(), os.getpid(), _space(), secrets.token_hex(8)))
        try:
            if me._link(path):
                return me
            there = holder(path)
            if there is not None and _silent(path, there, stale) and me._take_over(there, stale):
                return me if me._link(path) else None
        except OSError as error:
            raise FileError(
                "the lock file cannot be made",
                got=f"{path.name}: {error.strerror or error}",
                why="workers agree on who trains what by hard links in the folder of the runs",
                fix="choose an --out on a file system that has hard links and can be written",
            ) from error
        return None

    def beat(self) -> bool:
        """Say that the holder is alive; False when the lock was taken over meanwhile."""
        if holder(self.path) != self.holder:
            return False
        with contextlib.suppress(FileNotFoundError):
            os.utime(self.path)
        return True

    def release(self) -> None:
        """Give the lock back; one that was taken over is left to its new holder."""
        if holder(self.path) == self.holder:
            self.path.unlink(missing_ok=True)

    @contextmanager
    def held(self, *, stale: float = STALE) -> Iterator[Lock]:
        """Heartbeats in the background for the time of the context, then release."""
        done = threading.Event()

        def keep_alive() -> None:
            while not done.wait(stale / BEATS) and self._beat_quietly():
                pass

        thread = threading.Thread(target=keep_alive, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            done.set()
            thread.join()
            self.release()

    def _beat_quietly(self) -> bool:
        try:
            return self.beat()
        except OSError:  # a file server that is away for a moment
            return True

    def _link(self, path: Path) -> bool:
        """Make `path` with this holder in it, unless it exists."""
        draft = path.with_name(f".{path.name}.{self.holder.token}")
        try:
            with draft.open("x", encoding="utf-8") as file:
                json.dump(asdict(self.holder), file)
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(draft)
            return draft.stat().st_nlink == 2  # the count is right even where NFS lost the answer
        finally:
            draft.unlink(missing_ok=True)

    def _take_over(self, dead: Holder, stale: float) -> bool:
        """Remove the lock of `dead`; True for the one worker that did."""
        claim = self.path.with_name(f".{self.path.name}.after-{dead.token}")
        if not self._link(claim):
            there = holder(claim)
            if there is not None and _silent(claim, there, stale):  # whoever claimed it died in turn
                claim.unlink(missing_ok=True)
            return False
        try:
            mine = holder(self.path) == dead
            if mine:
                self.path.unlink(missing_ok=True)
            return mine
        finally:
            claim.unlink(missing_ok=True)


def holder(path: Path) -> Holder | None:
    """Who holds the lock at `path`; None when nobody does."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return Holder(str(told["host"]), int(told["pid"]), str(told["space"]), str(told["token"]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError, KeyError):
        return Holder("unknown", 0, "unknown", f"{path.stat().st_ino:x}")


def guard(path: Path) -> Callable[[], None]:
    """A function to call often, which raises once the lock at `path` is not held by who holds it now.

    It looks once a second, and never where nobody holds the lock.

    Raises   FileError: the lock was taken over.
    """
    mine, looked = holder(path), time.monotonic()

    def check() -> None:
        nonlocal looked
        if mine is None or time.monotonic() < looked + LOOK:
            return
        looked = time.monotonic()
        try:
            there = holder(path)
        except OSError:  # a file server that is away for a moment
            return
        if there != mine:
            raise FileError(
                "the run has been taken over by another worker",
                got=f"the lock {path.name} of {there.host if there else 'nobody'}",
                why="this worker was silent for too long, and what it has trained since is not written",
                fix="if workers stand still that long, give a larger --stale",
            )

    return check


def is_held(path: Path, *, stale: float = STALE) -> bool:
    """True while the lock at `path` has a holder that is alive, as far as this process can tell."""
    there = holder(path)
    return there is not None and not _silent(path, there, stale)


def _silent(path: Path, there: Holder, stale: float) -> bool:
    """True when the holder has ended or gave no heartbeat for `stale` seconds, by the clock of the file system."""
    if there.is_gone():
        return True
    probe = path.with_name(f".{path.name}.now-{secrets.token_hex(8)}")
    try:
        probe.touch()
        return probe.stat().st_mtime - path.stat().st_mtime > stale
    except FileNotFoundError:
        return False
    finally:
        probe.unlink(missing_ok=True)


def _space() -> str:
    """Where a process number means something: this boot of this machine, and its process namespace."""
    parts = []
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
    with contextlib.suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)
