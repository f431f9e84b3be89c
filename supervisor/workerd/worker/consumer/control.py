"""Control: remote control over the broker.

Its condition keeps it out of every daemon: nothing asks for it yet, and a step that does nothing would only
pretend.  Its place in the boot order is fixed here, for steps that are added around it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workerd.bootsteps import StartStopStep

if TYPE_CHECKING:
    from workerd.worker.consumer.consumer import Consumer


class Control(StartStopStep):
    """Consumer step, disabled."""

    label = "Control"
    requires = ("Tasks",)
    conditional = True
    enabled = False

    def __init__(self, c: Consumer, **options: Any) -> None:
        super().__init__(c, **options)
