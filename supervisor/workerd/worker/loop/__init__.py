"""The event loop of the supervisor, and what runs by it."""
