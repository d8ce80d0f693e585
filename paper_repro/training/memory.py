"""Memory that stays with the process from one step to the next."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager


TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4  # of mallopt(3)
MIB = 1 << 20
KEEP = {MMAP_MAX: 0, TRIM_THRESHOLD: 2047 * MIB}  # no blocks apart; less than 2 GiB free at the end stays
USUAL = {MMAP_MAX: 1 << 16, MMAP_THRESHOLD: 32 * MIB, TRIM_THRESHOLD: 64 * MIB}  # to where glibc moves by itself


@contextmanager
def kept_memory() -> Iterator[None]:
    """In the context freed memory stays with the process, where the C library is glibc; elsewhere nothing changes.

    Otherwise glibc hands blocks of 32 MiB, an activation of the first stage, back to the system each time, and every
    step waits until ten thousand pages and more are mapped and cleared again: a fifth of its time.  No value changes.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    for option, value in KEEP.items():
        libc.mallopt(option, value)
    try:
        yield
    finally:
        for option, value in USUAL.items():
            libc.mallopt(option, value)
        libc.malloc_trim(0)
