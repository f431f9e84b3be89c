"""Events: what this node tells the cluster of itself and its tasks, and what it hears of other nodes."""

from workerd.events.dispatcher import EventDispatcher

__all__ = ["EventDispatcher"]
