"""The peers: found beside the environment, loaded only when a contestant needs them, named when they are missing."""

from .installed import MissingPeer as MissingPeer
from .installed import require as require
from .installed import versions as versions
