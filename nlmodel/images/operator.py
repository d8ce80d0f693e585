"""Non-local means as a nonlocal operator: the kernel is found from an image, and then averages any field."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array

from nlmodel.images.means import checked
from nlmodel.images.patches import PatchWeights
from nlmodel.images.plan import Plan
from nlmodel.images.strips_portable import weights as weights_of
from nlmodel.operators import NonlocalOperator


def patch_operator(image: np.ndarray, weights: PatchWeights) -> NonlocalOperator:
    """L = K - I, K the row-normalised weights of the patches of an image.

        (L Z)_i = sum_j omega_ij Z_j / sum_j omega_ij - Z_i          Tao et al. 2018, eq. (8)

    v + L v, forward Euler with step 1 from the image itself, is `nonlocal_means(image, weights)`.

    Parameters
    ----------
    image : (rows, columns) or (rows, columns, channels) NumPy array, float64 or float32.
    weights : of two patches.

    Returns
    -------
    A sparse operator on fields of shape (rows * columns, channels), pixels in C order.

    Cost     (2 reach + 1)^2 stored numbers a pixel; `nonlocal_means` stores none.
    """
    v = checked(image, weights)
    rows, columns = v.shape[1:]
    r, plan = weights.radius, Plan.of(weights, len(v), v.dtype)
    padded = np.pad(v, ((0, 0), (r, r), (r, r)), mode="reflect")
    pixel = np.arange(rows * columns).reshape(rows, columns)
    senders, receivers, entries = [pixel.ravel()], [pixel.ravel()], [np.full(pixel.size, plan.own)]
    for (down, right), omega in weights_of(padded, 0, rows, plan):
        n, m = omega.shape
        i = pixel[:n, max(0, -right) :][:, :m].ravel()
        j = i + down * columns + right
        senders += [j, i]
        receivers += [i, j]
        entries += [omega.ravel()] * 2
    places = np.concatenate(receivers), np.concatenate(senders)
    omega = coo_array((np.concatenate(entries), places), shape=(pixel.size, pixel.size))
    return NonlocalOperator.from_affinity(omega.tocsr(), "row")
