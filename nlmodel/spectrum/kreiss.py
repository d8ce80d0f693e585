"""The Kreiss constant: how much a matrix can amplify before its eigenvalues take over."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.linalg import schur, solve_sylvester

from nlmodel._arrays import Array
from nlmodel.spectrum._guards import matrix
from nlmodel.spectrum.levels import Disc, HalfPlane, Region
from nlmodel.spectrum.ranges import numerical_abscissa, numerical_radius
from nlmodel.spectrum.resolvent import smallest_singular_values


EPS = float(np.finfo(np.float64).eps)
GAIN = 1 + 1e-9
"""A point counts as better only beyond this factor; the result is that close to the best on every circle tried."""


@dataclass(frozen=True)
class KreissConstant:
    """A lower bound for the Kreiss constant by evaluation at z = `argmax`.

    `attained` is "interior", or says where it is only a limit: "boundary" (at a semisimple eigenvalue on it),
    "infinity" (value 1), "unbounded" (value inf, `argmax` an eigenvalue).
    """

    value: float
    argmax: complex
    attained: str


def _boundary_limit(A: np.ndarray, region: Region) -> tuple[float, complex]:
    """Limit of the quotient at eigenvalues on the boundary: the norm of the spectral projector.

    inf when an eigenvalue lies beyond the boundary, or is defective on it, both to rounding.
    """
    values = np.linalg.eigvals(A)
    depth = np.array([region.depth(z) for z in values])
    unit = 10 * len(A) * EPS * max(float(np.linalg.norm(A, 2)), EPS)
    outermost = values[np.argmax(depth)]
    if depth.max() > math.sqrt(unit):
        return math.inf, complex(outermost)
    limit, at = 0.0, complex(outermost)
    for z in values[depth > -math.sqrt(unit)]:
        ordered: Any = schur(A, output="complex", sort=lambda x, z=z: abs(x - z) <= 10 * math.sqrt(unit))
        T, _, p = ordered
        coupling = solve_sylvester(T[:p, :p], -T[p:, p:], T[:p, p:]) if p < len(A) else np.zeros((p, 1))
        projector = math.hypot(1.0, float(np.linalg.norm(coupling, 2)))
        nilpotent = float(np.linalg.norm(np.triu(T[:p, :p], 1), 2))
        if max(nilpotent, region.depth(z)) > unit * projector:
            return math.inf, complex(z)
        if abs(region.depth(z)) <= unit * projector and projector > limit:
            limit, at = projector, complex(z)
    return limit, at


def _quotients(A: np.ndarray, region: Region, z: np.ndarray) -> np.ndarray:
    """depth(z) / sigma_min(zI - A), rounded down by what the singular value may be wrong."""
    doubt = len(A) * EPS * (np.abs(z) + np.linalg.norm(A, 2))
    return np.array([region.depth(w) for w in z]) / (smallest_singular_values(A, z) + doubt)


def _climb(A: np.ndarray, region: Region, depth: float, s: float, shallow: float) -> complex:
    """Local maximum of depth / sigma_min(zI - A) near a point, in the coordinates log(depth) and s / depth."""
    from scipy.optimize import minimize

    identity, width = np.eye(len(A)), min(depth, 1.0) if region is Disc else depth

    def descent(x: np.ndarray) -> tuple[float, np.ndarray]:
        t, place = depth * math.exp(x[0]), s + width * x[1]
        left, size, right = np.linalg.svd(region.point(t, place) * identity - A)
        turn = np.vdot(left[:, -1], right[-1].conj())
        rates = [(turn * dz).real / size[-1] for dz in region.velocity(t, place)]
        return math.log(size[-1] / t), np.array([t * rates[0] - 1, width * rates[1]])

    bounds = [(math.log(shallow / depth), 20.0), (None, None)]
    options = {"ftol": EPS, "gtol": 1e-10, "maxiter": 200}
    found = minimize(descent, [0.0, 0.0], jac=True, bounds=bounds, method="L-BFGS-B", options=options)
    return region.point(depth * math.exp(found.x[0]), s + width * found.x[1])


def _distance_to_boundary(A: np.ndarray, region: Region, places: np.ndarray) -> float:
    """min of sigma_min(zI - A) over the boundary, to 10 per cent from below."""
    distance = math.inf
    while len(places):
        nearest = float(np.min(smallest_singular_values(A, np.array([region.point(0.0, s) for s in places]))))
        if nearest >= 0.9 * distance:
            break
        distance = nearest
        if distance <= math.sqrt(EPS):
            return 0.0
        places = region.gaps(A, 0.0, 0.9 * distance)
    return 0.9 * distance


def kreiss_constant(G: Array, *, continuous: bool = False) -> KreissConstant:
    """The Kreiss constant of an iteration matrix or of a generator.

        Kr(G) = sup_{|z| > 1} (|z| - 1) ||(zI - G)^{-1}||,    Kr(G) <= sup_n ||G^n|| <= e N Kr(G)
        Kr(A) = sup_{Re z > 0} Re z ||(zI - A)^{-1}||,        Kr(A) <= sup_t ||e^{tA}|| <= e N Kr(A)

    (Kreiss matrix theorem, with Spijker's constant 1991.) Kr >= 1 always, from |z| -> infinity; Kr = 1 exactly
    when the numerical radius is <= 1 (numerical abscissa <= 0). The constant is infinite when an eigenvalue lies
    beyond the boundary or is defective on it.

    The quotient exceeds a level on arcs of a circle |z| = 1 + t whose ends are eigenvalues of a pencil of size
    2N (cf. Mitchell 2020). Circles with t doubling between the two radii beyond which nothing can win are
    searched in this way, over all angles at once; the middle of every arc found starts a quasi-Newton climb, and
    the circle is searched again above the new level until it is empty.

    Parameters
    ----------
    G : (N, N) real or complex floating array.
    continuous : the half-plane form, for a generator.

    Returns  KreissConstant: a LOWER bound, evaluated at `argmax`; no tried circle holds a higher value.
        `transient_peak` gives an upper bound.
    Raises   ShapeError / DtypeError / NonFiniteError.
    Accuracy `value` is rounded down by the error of the singular value, relative N eps (|z| + ||G||) / sigma_min.
        Points closer to the boundary than sqrt(eps) ||G|| (of the circle, sqrt(eps) at least) are not evaluated,
        only the limits at eigenvalues on it. inf is reported when a matrix within rounding of G has it.
    Cost     about 30 generalised eigenvalue problems of size 2N, O(N^3) each.
    """
    A = matrix(G, "G").astype(np.complex128)
    if not continuous:
        return _kreiss_constant(A, Disc)
    size = 2.0 ** (math.frexp(float(np.linalg.norm(A, 2)))[1] - 1)
    found = _kreiss_constant(A / size, HalfPlane)  # Kr(c A) = Kr(A) for c > 0
    return replace(found, argmax=found.argmax * size) if np.isfinite(found.argmax) else found


def _kreiss_constant(A: np.ndarray, region: Region) -> KreissConstant:
    best, argmax = _boundary_limit(A, region)
    if best == math.inf:
        return KreissConstant(math.inf, argmax, "unbounded")
    norm = float(np.linalg.norm(A, 2))
    continuous = region is HalfPlane
    excess = numerical_abscissa(A) if continuous else numerical_radius(A) - 1
    unit = norm if continuous else max(1.0, norm)
    if excess <= 1e-12 * unit:
        return KreissConstant(1.0, complex(math.inf), "infinity")
    attained = "boundary"
    if best < 1:
        best, argmax, attained = 1.0, complex(math.inf), "infinity"
    places = np.array([region.position(z) for z in np.linalg.eigvals(A)])
    shallow = math.sqrt(EPS) * unit
    start = max(shallow, 0.5 * _distance_to_boundary(A, region, places))
    depths = start * 2.0 ** np.arange(math.ceil(math.log2(1e4 * unit / start)) + 1)
    slack = norm if continuous else norm - 1
    for depth in map(float, depths):
        if depth * (best - 1) >= best * slack:
            break
        while True:
            middles = np.append(region.gaps(A, depth, depth / (best * GAIN)), places[:1])
            z = np.array([region.point(depth, s) for s in middles])
            quotients = _quotients(A, region, z)
            top = int(np.argmax(quotients))
            if quotients[top] <= best * GAIN:
                break
            z = np.array([z[top], _climb(A, region, depth, float(middles[top]), shallow)])
            quotients = _quotients(A, region, z)
            best, argmax = float(np.max(quotients)), z[np.argmax(quotients)]
            attained = "interior"
    return KreissConstant(best, complex(argmax), attained)
