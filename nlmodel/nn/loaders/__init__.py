"""Blocks of other libraries as ours: the same weights, the same output."""

from .alexhex import from_alexhex as from_alexhex
from .mmcv import from_mmcv as from_mmcv
from .timm import from_timm as from_timm
