"""The weights of trained networks, layer by layer, from their files alone."""

from .audit import audit_checkpoint as audit_checkpoint
from .audit import layer_names as layer_names
from .audit import layers_of as layers_of
from .files import SUFFIXES as SUFFIXES
