"""The embedded broker: a Valkey server on a unix socket, one per state root.

The lock is a flock on the data directory.  Its descriptor is inherited by the server process and closed
here, so "free" means that no server runs on that directory, whatever has died and in which order.
Who gets it starts the server; others connect, and try again when they lose it.
"""

from workerd.worker.embedded.binary import find_server
from workerd.worker.embedded.private import private_dir
from workerd.worker.embedded.server import EmbeddedServer

__all__ = ["EmbeddedServer", "find_server", "private_dir"]
