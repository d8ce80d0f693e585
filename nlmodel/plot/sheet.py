"""The sheet that figures are drawn on: one style, kept by the figure itself until it is saved."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np

from nlmodel._arrays import check_array, to_numpy
from nlmodel.errors import DomainError, MissingPackageError


if TYPE_CHECKING:
    from matplotlib.figure import Figure


P = ParamSpec("P")
WIDTH, HEIGHT = 5.5, 2.9
INK, FAINT = "#1b1b1b", "#888888"
BLUE, RED, GREEN, SAND, SKY, PURPLE = "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377"
DASHED = (0, (4, 3))


@contextmanager
def style() -> Iterator[None]:
    """The style of the project's figures, for the time of the context."""
    try:
        from matplotlib import rc_context
        from matplotlib import style as styles
    except ImportError as error:
        raise MissingPackageError(
            "figures need the package matplotlib",
            got="an installation without it",
            fix="pip install 'nlmodel[plot]'",
        ) from error
    with (
        resources.as_file(resources.files("nlmodel") / "paper.mplstyle") as path,
        styles.context(path),
        rc_context({"axes.formatter.use_mathtext": False}),  # tick labels look the same and cost half the time
    ):
        yield


def styled(figure: Callable[P, Figure]) -> Callable[P, Figure]:
    """A figure function that draws in the project's style, whatever style is set outside."""

    @functools.wraps(figure)
    def inside(*args: P.args, **options: P.kwargs) -> Figure:
        with style():
            return figure(*args, **options)

    return inside


def canvas(
    rows: int = 1, columns: int = 1, *, width: float = WIDTH, height: float = HEIGHT, **grid: Any
) -> tuple[Figure, Any]:
    """A `Figure` and its `Axes` (an array of them for several panels), in inches.

    The figure carries its style with it: fonts and mathematics look the same wherever it is saved.
    """
    with style():
        from matplotlib.figure import Figure

        class Sheet(Figure):
            def draw(self, renderer: Any) -> None:
                with style():
                    super().draw(renderer)

            def savefig(self, *args: Any, **options: Any) -> None:
                with style():
                    super().savefig(*args, **options)

        figure = Sheet(figsize=(width, height))
        return figure, figure.subplots(rows, columns, **grid)


def positive(x: np.ndarray, name: str) -> np.ndarray:
    """`x` as a NumPy vector when all its entries are > 0, as a logarithmic axis needs."""
    values = to_numpy(check_array(x, name, ndim=1))
    if not np.all(values > 0):
        raise DomainError(f"{name} must be positive", got=f"smallest {values.min():.4g}", why="the axis is logarithmic")
    return values


def mesh_ticks(axes: Any, h: np.ndarray) -> None:
    """Ticks of a logarithmic mesh axis at the meshes themselves, where they are few."""
    if len(h) <= 7:
        axes.set_xticks(h, [f"{x:.3g}" for x in h])
        axes.minorticks_off()
