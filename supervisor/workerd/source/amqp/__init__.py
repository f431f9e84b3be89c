"""Task queues of RabbitMQ; ``source`` is the door, everything else stands behind it."""

from workerd.source.amqp.source import AmqpSource

__all__ = ["AmqpSource"]
