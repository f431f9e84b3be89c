"""Signals of the app: functions that are called when something happens, under Celery's names.

::

    from workerd.signals import worker_process_init

    @worker_process_init.connect
    def connect_to_database(**words): ...

A receiver gets ``signal``, ``sender`` and what the signal says of itself, by name, and must take ``**words``
for what later versions add.  It is held weakly unless ``weak=False``: a function that nobody else holds is
gone.  It is called in the process in which the thing happens, which imports the app and so connects it: the
client that sends a task, the child that runs it, or the daemon, whose loop waits until the receiver returns.
"""

from __future__ import annotations

from workerd.signals.signal import Signal

# One of each for the process, as the import paths of Celery's guide have it: an app connects to them while it
# is imported, in every process that imports it.

# -- sending: in the process that sends; the sender is the task's name ------------------------------------

before_task_publish = Signal(
    "before_task_publish",
    ("body", "exchange", "routing_key", "declare", "headers", "properties", "retry_policy"),
)
"""A message is about to be sent; a receiver may change its headers, properties and retry policy in place."""
after_task_publish = Signal("after_task_publish", ("body", "exchange", "routing_key", "headers"))
"""The broker has taken a message."""
task_sent = Signal("task_sent", ("task_id", "task", "args", "kwargs", "eta", "taskset"))
"""The same, by the words of older clients; prefer ``after_task_publish``."""

# -- running: in the child; the sender is the task --------------------------------------------------------

task_prerun = Signal("task_prerun", ("task_id", "task", "args", "kwargs"))
"""A task is about to run."""
task_postrun = Signal("task_postrun", ("task_id", "task", "args", "kwargs", "retval", "state"))
"""A run has ended, in whatever way; its result is on its way."""
task_success = Signal("task_success", ("result", "runtime"))
"""A task has returned."""
task_retry = Signal("task_retry", ("request", "reason", "einfo"))
"""A task is tried again; the next try is sent already."""
task_failure = Signal("task_failure", ("task_id", "exception", "args", "kwargs", "traceback", "einfo"))
"""A task has failed.  In the daemon when its child died, its time was over, or it rejected its message."""
task_internal_error = Signal(
    "task_internal_error", ("task_id", "args", "kwargs", "request", "exception", "traceback", "einfo")
)
"""A message could not be run, for a reason that is not the task's."""

# -- messages: in the daemon; the sender is the consumer, for task_revoked the task -----------------------

task_received = Signal("task_received", ("request",))
"""A message has come, and the task will run."""
task_revoked = Signal("task_revoked", ("request", "terminated", "signum", "expired"))
"""A task will not run, or run no further, because somebody has said so or its message has expired."""
task_rejected = Signal("task_rejected", ("message", "exc"))
"""A message cannot be read, and is put aside."""
task_unknown = Signal("task_unknown", ("message", "exc", "name", "id"))
"""A message is for a task that the app has not, and is put aside."""

# -- the daemon: in the daemon; the sender is the node's name where nothing else is said ------------------

celeryd_init = Signal("celeryd_init", ("instance", "conf", "options"))
"""The app is imported and nothing of its settings is used yet: a receiver may change them."""
worker_init = Signal("worker_init")
"""The steps are about to be made; the sender is the worker."""
celeryd_after_setup = Signal("celeryd_after_setup", ("instance", "conf"))
"""The steps have been made, and none is started."""
worker_ready = Signal("worker_ready")
"""Tasks are being run, for the first time; the sender is the consumer."""
worker_before_create_process = Signal("worker_before_create_process")
"""A child is about to be made; the sender is its pool."""
worker_shutting_down = Signal("worker_shutting_down", ("sig", "how", "exitcode"))
"""A stop begins."""
worker_shutdown = Signal("worker_shutdown")
"""Every step has been stopped, unless the stop was one without waiting; the sender is the worker."""
heartbeat_sent = Signal("heartbeat_sent")
"""The node has told the others that it lives; the sender is the Heart step."""

# -- the children ------------------------------------------------------------------------------------------

worker_process_init = Signal("worker_process_init")
"""In a new child, before its first task.  A child in which a receiver raises does not start."""
worker_process_shutdown = Signal("worker_process_shutdown", ("pid", "exitcode"))
"""In a child that leaves, after its last task."""

# -- beat --------------------------------------------------------------------------------------------------

beat_init = Signal("beat_init")
"""A beat starts, beside a daemon or alone; the sender is it, with the app's own ``options``."""
beat_embedded_init = Signal("beat_embedded_init")
"""The beat of a daemon starts, in the program beside it; after ``beat_init``."""

# -- wherever an app is loaded -----------------------------------------------------------------------------

import_modules = Signal("import_modules")
"""The modules that the settings name are about to be imported; the sender is the app."""
user_preload_options = Signal("user_preload_options", ("app", "options"))
"""The preload options of a command line have been read; the sender is the command."""
setup_logging = Signal("setup_logging", ("loglevel", "logfile", "format", "colorize"))
"""In the daemon and where children are forked: a receiver sets up logging, so nobody else does."""
after_setup_logger = Signal("after_setup_logger", ("logger", "loglevel", "logfile", "format", "colorize"))
"""In the daemon: its log is set up on the root logger."""
after_setup_task_logger = Signal(
    "after_setup_task_logger", ("logger", "loglevel", "logfile", "format", "colorize")
)
"""The same, for the logger of tasks."""

__all__ = [
    "Signal",
    "after_setup_logger",
    "after_setup_task_logger",
    "after_task_publish",
    "beat_embedded_init",
    "beat_init",
    "before_task_publish",
    "celeryd_after_setup",
    "celeryd_init",
    "heartbeat_sent",
    "import_modules",
    "setup_logging",
    "task_failure",
    "task_internal_error",
    "task_postrun",
    "task_prerun",
    "task_received",
    "task_rejected",
    "task_retry",
    "task_revoked",
    "task_sent",
    "task_success",
    "task_unknown",
    "user_preload_options",
    "worker_before_create_process",
    "worker_init",
    "worker_process_init",
    "worker_process_shutdown",
    "worker_ready",
    "worker_shutdown",
    "worker_shutting_down",
]
