"""``workerd demo``: a daemon, an app and real input, checked against a direct computation."""
