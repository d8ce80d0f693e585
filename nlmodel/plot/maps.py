"""Matrices and fields as pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from nlmodel._arrays import check_array, check_square, to_numpy
from nlmodel.errors import ShapeError
from nlmodel.plot.sheet import canvas, styled


if TYPE_CHECKING:
    from matplotlib.figure import Figure


DECADES = 4  # of affinity that a colour scale can show apart


@styled
def affinity_map(K: np.ndarray) -> Figure:
    """An affinity or averaging matrix, entry by entry.

    Nonnegative matrices on a logarithmic scale over at most four decades; matrices with negative entries on a
    scale symmetric about zero.

    Parameters
    ----------
    K : (M, M) array.
    """
    values = to_numpy(check_square(check_array(K, "K", ndim=2), "K"))
    with_negative = values.min() < 0
    figure, axes = canvas(width=4.2, height=3.3)
    from matplotlib.colors import LogNorm

    top = float(np.abs(values).max()) or 1.0
    if with_negative:
        picture = axes.imshow(values, cmap="RdBu_r", vmin=-top, vmax=top, interpolation="none")
    else:
        positive = values[values > 0]
        low = max(float(positive.min(initial=top)), top * 10.0**-DECADES)
        wide = low < 0.1 * top
        shown = np.clip(values, low, None) if wide else values
        scale = {"norm": LogNorm(low, top)} if wide else {"vmin": 0.0, "vmax": top}
        picture = axes.imshow(shown, cmap="cividis", interpolation="none", **scale)
    axes.set(xlabel="sender $j$", ylabel="receiver $i$")
    axes.spines[["top", "right"]].set_visible(True)
    bar = figure.colorbar(picture, ax=axes, shrink=0.9, pad=0.03)
    bar.outline.set_linewidth(0.6)
    bar.set_label("$K_{ij}$")
    return figure


@styled
def position_maps(fields: Mapping[str, np.ndarray], grid: tuple[int, int]) -> Figure:
    """Fields over the positions of an image, side by side.

    Parameters
    ----------
    fields : (M,) arrays by caption, M = rows * columns in row-major order.  A field that changes sign is drawn on a
        scale symmetric about zero.
    grid : rows and columns of positions.
    """
    rows, columns = grid
    figure, panels = canvas(1, len(fields), height=5.5 / len(fields) * rows / columns + 0.72, squeeze=False)
    for axes, (caption, field) in zip(panels[0], fields.items(), strict=True):
        values = to_numpy(check_array(field, "field", ndim=1))
        if len(values) != rows * columns:
            raise ShapeError("a field must have rows * columns entries", got=f"{len(values)} for {rows} x {columns}")
        signed = values.min() < 0 < values.max()
        top = float(np.abs(values).max())
        scale = {"cmap": "RdBu_r", "vmin": -top, "vmax": top} if signed else {"cmap": "cividis"}
        picture = axes.imshow(values.reshape(rows, columns), interpolation="none", **scale)
        axes.set(title=caption, xticks=[], yticks=[])
        bar = figure.colorbar(picture, ax=axes, orientation="horizontal", shrink=0.85, pad=0.03, aspect=28)
        bar.outline.set_linewidth(0.6)
        bar.ax.locator_params(nbins=4)
    return figure
