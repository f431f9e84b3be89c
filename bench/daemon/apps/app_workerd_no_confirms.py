"""Ours, which promises as little as Celery does on RabbitMQ: what is written counts as arrived."""

from app_workerd import app, noop, send, send_many

__all__ = ["app", "noop", "send", "send_many"]

app.conf.broker_transport_options = {"confirm_publish": False}
