"""Where results are kept."""

from workerd.backends.base import Backend, BackendOptions, UnstorableError
from workerd.backends.keyvalue import KeyValueBackend
from workerd.backends.opening import open_backend

__all__ = ["Backend", "BackendOptions", "KeyValueBackend", "UnstorableError", "open_backend"]
