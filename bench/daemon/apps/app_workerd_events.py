"""Ours, whose worker is started with ``-E``."""

from app_workerd import app, noop, send, send_many

__all__ = ["app", "noop", "send", "send_many"]
