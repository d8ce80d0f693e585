"""Tiles so small that a handful of positions needs several."""

import pytest


@pytest.fixture(scope="package", autouse=True)
def small_tiles():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nlmodel.operators.streamed.TILE", 4)
        patch.setattr("nlmodel.operators.streamed.TENSOR_TILE", 4)
        patch.setattr("nlmodel.operators.streamed.DIAGONAL_TILE", 3)
        yield
