"""Pre-activation residual networks with nonlocal blocks."""

from .build import build as build
from .build import nonlocal_modules as nonlocal_modules
from .placement import places as places
from .preresnet import PreResNet as PreResNet
