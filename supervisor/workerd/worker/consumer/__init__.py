"""The Consumer blueprint: everything that lives on one broker connection."""

from workerd.worker.consumer.agent import Agent
from workerd.worker.consumer.connection import Connection
from workerd.worker.consumer.consumer import Consumer
from workerd.worker.consumer.control import Control
from workerd.worker.consumer.events import Events
from workerd.worker.consumer.evloop import EventLoop
from workerd.worker.consumer.gossip import Gossip
from workerd.worker.consumer.heart import Heart
from workerd.worker.consumer.mingle import Mingle
from workerd.worker.consumer.tasks import Tasks

__all__ = [
    "Agent",
    "Connection",
    "Consumer",
    "Control",
    "EventLoop",
    "Events",
    "Gossip",
    "Heart",
    "Mingle",
    "Tasks",
]
