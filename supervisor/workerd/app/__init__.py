"""What app authors import: the App, its tasks and their results."""

from workerd.app.base import App
from workerd.app.loader import find_app, load_app
from workerd.app.results.result import AsyncResult, EagerResult
from workerd.app.task import Task

__all__ = ["App", "AsyncResult", "EagerResult", "Task", "find_app", "load_app"]
