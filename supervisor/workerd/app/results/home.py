"""Where an app's results are kept, and how: made of its settings, and made anew when those change.

Children ask for it with each task, so it is not made for each: that took 10 us of their 130 a no-op task.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from workerd.app.sending.broker import Broker
from workerd.app.settings.conf import Conf
from workerd.backends import Backend, BackendOptions, open_backend
from workerd.backends.opening import RPC
from workerd.backends.url import EMBEDDED
from workerd.protocol.result import Coding


class ResultsHome:
    """The backend of one app."""

    def __init__(self, conf: Conf, broker: Broker) -> None:
        self._conf, self._broker = conf, broker
        self._options: tuple[int, BackendOptions] | None = None  # of this version of the settings
        self._version = -1  # of the settings that mean the backend
        self._backend: tuple[Any, Backend] | None = None

    def url(self) -> str:
        """As set, else the embedded broker if that is the broker, else nowhere."""
        if self._conf.result_backend is not None:
            return str(self._conf.result_backend)
        return EMBEDDED if self._broker.urls()[0] == EMBEDDED else ""

    def options(self) -> BackendOptions:
        """How results are written."""
        if self._options is None or self._options[0] != self._conf.version:
            options = options_of(self._conf)
            self._options = (self._conf.version, options.messages() if self.by_message else options)
        return self._options[1]

    def reply_to(self) -> str:
        """The queue for the results of this process's calls, where results are messages."""
        found: Any = self.backend()
        return str(found.reply_to())

    def backend(self) -> Backend:
        """The one that is open, unless the settings mean another one by now."""
        if self._backend is None or self._version != self._conf.version:
            key = (self.url(), self.options())
            if self._backend is None or self._backend[0] != key:
                self._backend = (key, self._open(*key))
            self._version = self._conf.version
        return self._backend[1]

    @property
    def by_message(self) -> bool:
        """Results are messages to who has sent the call."""
        url = self._conf.result_backend
        return url is not None and url.startswith(RPC)

    def _open(self, url: str, options: BackendOptions) -> Backend:
        if not self.by_message:
            return open_backend(url, options)
        # Only who uses it pays for its imports.
        from workerd.backends.rpc.client import RpcBackend  # noqa: PLC0415

        connect = partial(self._broker.connection, purpose="broker_read_url")
        return RpcBackend(connect, self._broker.urls("broker_read_url")[0], options)

    def close(self) -> None:
        """Close its connections; it can be used again afterwards."""
        if self._backend is not None:
            self._backend[1].close()
            self._backend = None


def options_of(conf: Conf) -> BackendOptions:
    """How results are written, from the settings."""
    accept = conf.result_accept_content or conf.accept_content
    coding = Coding(serializer=conf.result_serializer, compression=conf.result_compression, accept=accept)
    return BackendOptions(
        coding=coding,
        expires=conf.result_expires,
        failure_expires=conf.result_failure_expires,
        key_prefix=conf.result_backend_transport_options.get("global_keyprefix", ""),
        chord_expires=conf.result_chord_expires,
        chord_ordered=bool(conf.result_backend_transport_options.get("result_chord_ordered", True)),
        socket_timeout=conf.redis_socket_timeout,
        connect_timeout=conf.redis_socket_connect_timeout or 5.0,
        keepalive=conf.redis_socket_keepalive,
        max_connections=conf.redis_max_connections,
        health_check_interval=conf.redis_backend_health_check_interval or 0.0,
        tls=conf.redis_backend_use_ssl or {},
        persistent=conf.result_persistent,
    )
