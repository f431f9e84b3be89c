"""From a call to a message at the broker."""
