"""Remote control: Celery's commands over the broker, and those that apps add to them."""
