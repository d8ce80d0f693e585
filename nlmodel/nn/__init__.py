"""The torch room: nonlocal blocks and stages as modules, built from the library's own definitions."""

from .block import NonlocalBlock as NonlocalBlock
from .plan import Plan as Plan
from .stage import NonlocalStage as NonlocalStage
