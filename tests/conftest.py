"""One place for how the tests run: Hypothesis profiles, seeds, a headless matplotlib."""

import os

import hypothesis
import numpy as np
import pytest


os.environ.setdefault("MPLBACKEND", "Agg")

hypothesis.settings.register_profile("ci", derandomize=True, max_examples=200, deadline=None, database=None)
hypothesis.settings.register_profile("deep", max_examples=5000, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20180601)
