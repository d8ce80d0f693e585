"""An array that grows at its end."""

from __future__ import annotations

import numpy as np


class Growing:
    """One array out of parts whose total length is not known before.

    Its memory is reallocated, which large blocks survive in place: never two copies, where lists of parts need them at
    the end.  It grows by an eighth, at the end by less: to a 32nd more than the parts before let expect.
    """

    def __init__(self, dtype: np.dtype):
        self._array, self._length = np.empty(0, dtype=dtype), 0

    def append(self, part: np.ndarray, share: float) -> None:
        """Add a part, after which this share of the whole is there, 0 < share <= 1."""
        end = self._length + len(part)
        if end > len(self._array):
            self._array.resize(max(end, min(int(end / share * 33 / 32), end * 9 // 8)), refcheck=False)
        self._array[self._length : end] = part
        self._length = end

    def whole(self) -> np.ndarray:
        """The array, at its length."""
        self._array.resize(self._length, refcheck=False)
        return self._array
