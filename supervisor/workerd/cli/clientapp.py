"""The App that ``call``, ``result`` and ``check`` act through."""

from __future__ import annotations

from workerd.app import App, load_app
from workerd.cli.common import Common
from workerd.cli.settings import layers_of
from workerd.config import Layers
from workerd.transport.urls import checked_backend, checked_broker

NO_APP = "<command line>"
"""The name of the app that stands in where none is named; no module can have it."""


def client_app(common: Common) -> App:
    """The app that is named, else one without tasks, with the broker and backend that are set.

    Errors: ConfigError, AppImportError.
    """
    layers = layers_of(common)
    config = layers.config()
    app = with_settings(load_app(config.app, config.chdir) if config.app else App(NO_APP), layers)
    for url in app.broker.urls("broker_write_url"):
        checked_broker(url)
    checked_backend(app.backend_url())
    return app


def with_settings(app: App, layers: Layers) -> App:
    """``app`` with the broker and backend of flags, environment and file, which win over its own."""
    settings = layers.config()
    if layers.get("broker"):
        app.conf.broker_url = settings.broker
    if layers.get("backend"):
        app.conf.result_backend = settings.backend
    return app
