"""Links to brokers: bytes on non-blocking sockets in the hub, and nothing about tasks."""
