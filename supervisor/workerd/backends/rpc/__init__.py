"""``rpc://``: results as messages to the queues at which their callers wait."""
