"""Watching the app's files: a program of its own beside the daemon, and the daemon's handle on it."""

from __future__ import annotations

from workerd.worker.watching.watcher import Watcher, check_installed

__all__ = ["Watcher", "check_installed"]
