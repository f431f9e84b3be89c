"""Where results are kept."""

from workerd.backends.base import Backend, BackendOptions
from workerd.backends.opening import open_backend

__all__ = ["Backend", "BackendOptions", "open_backend"]
