"""The supervisor's own log, which it never waits for."""
