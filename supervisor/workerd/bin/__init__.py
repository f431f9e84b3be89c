"""What an extension author needs for the command line: options and sub-commands.

``Option`` is optparse's, so that options are written as Celery's extension guide writes them; click's own
``click.Option`` does wherever one is taken.
"""

from workerd.bin.base import Command, Option, pass_app

__all__ = ["Command", "Option", "pass_app"]
