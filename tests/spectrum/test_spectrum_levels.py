"""Level crossings of sigma_min on circles and lines, against dense sampling; the climb between them."""

import math
from itertools import pairwise

import numpy as np
import pytest

from nlmodel.spectrum import pseudospectrum
from nlmodel.spectrum.kreiss import _climb
from nlmodel.spectrum.levels import Disc, HalfPlane, Region
from nlmodel.testing import tolerance


def sampled(A: np.ndarray, region: Region, depth: float, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Positions along the curve, and whether sigma_min lies below the level there."""
    s = np.linspace(0, 2 * np.pi, 1500) if region is Disc else np.linspace(-8, 8, 1500)
    return s, pseudospectrum(A, np.array([region.point(depth, x) for x in s])) < level


def runs(inside: np.ndarray) -> list[tuple[int, int]]:
    """First and last index of each maximal run below the level that does not touch an end."""
    edges = np.flatnonzero(np.diff(inside.astype(int)))
    pairs = pairwise(edges)
    return [(int(a) + 1, int(b)) for a, b in pairs if inside[a + 1]]


@pytest.mark.parametrize("region", [Disc, HalfPlane])
@pytest.mark.parametrize("seed", range(4))
def test_every_interval_below_the_level_holds_a_middle(region: Region, seed: int) -> None:
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((5, 5)) + 1j * rng.standard_normal((5, 5))
    found = 0
    for depth in (0.1, 1.0):
        for level in (0.1, 0.4):
            s, inside = sampled(A, region, depth, level)
            middles = region.gaps(A, depth, level)
            middles = middles % (2 * np.pi) if region is Disc else middles
            for first, last in runs(inside):
                assert np.any((middles >= s[first - 1]) & (middles <= s[last + 1]))
                found += 1
    assert found > 0


@pytest.mark.parametrize("region", [Disc, HalfPlane])
def test_reach_is_the_outermost_crossing(region: Region, rng: np.random.Generator) -> None:
    A = rng.standard_normal((4, 4))
    for s in (0.0, 0.7, -1.3):
        depth = region.reach(A, s, 0.3)
        outside = depth + np.geomspace(1e-6, 10, 200)
        assert np.all(pseudospectrum(A, np.array([region.point(t, s) for t in outside])) > 0.3)
        at = float(pseudospectrum(A, np.array(region.point(depth, s), dtype=complex)))
        assert abs(at - 0.3) <= tolerance("solve", n=8, scale=float(np.linalg.norm(A, 2)))


def test_reach_of_an_unreached_level_is_minus_infinity() -> None:
    assert HalfPlane.reach(np.array([[2j]]), 0.0, 1.0) == -math.inf
    assert abs(HalfPlane.reach(np.array([[2j]]), 2.0, 1.0) - 1) <= tolerance("solve", n=2)


@pytest.mark.parametrize("angle", [0.0, 0.4, -2.0])
@pytest.mark.parametrize("continuous", [False, True])
def test_the_climb_reaches_the_summit_from_aside(angle: float, continuous: bool) -> None:
    height = np.sin(angle)
    value = -0.5 + 1j * height if continuous else 0.5 * np.exp(1j * angle)
    A = np.array([[value, 20.0], [0.0, value]])
    region: Region = HalfPlane if continuous else Disc
    depth, summit = 400 / 399 - 1 / 2, height if continuous else angle
    found = _climb(A, region, 0.2, summit + 0.15, 1e-6)
    assert abs(found - region.point(depth, summit)) < 1e-5
    assert region.depth(found) / float(pseudospectrum(A, np.array(found))) >= 401 / 40 - 1e-9


@pytest.mark.parametrize("region", [Disc, HalfPlane])
def test_coordinates_and_their_derivatives(region: Region) -> None:
    depth, s, h = 0.7, 0.9, 1e-6
    z = region.point(depth, s)
    assert abs(region.depth(z) - depth) <= tolerance("elementwise")
    assert abs(region.position(z) - s) <= tolerance("elementwise")
    by_depth, along = region.velocity(depth, s)
    assert abs((region.point(depth + h, s) - region.point(depth - h, s)) / (2 * h) - by_depth) < h
    assert abs((region.point(depth, s + h) - region.point(depth, s - h)) / (2 * h) - along) < h
