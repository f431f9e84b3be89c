"""Health and metrics over HTTP: served by a program of its own beside the daemon, which asks the daemon.

In the daemon are ``step``, ``measures`` and ``snapshot``; in the program ``program`` and what it imports.
"""
