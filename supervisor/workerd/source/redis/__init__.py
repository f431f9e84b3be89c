"""Task queues in Redis and Valkey; ``source`` is the door, everything else stands behind it."""

from workerd.source.redis.source import VISIBILITY, RedisSource

__all__ = ["VISIBILITY", "RedisSource"]
