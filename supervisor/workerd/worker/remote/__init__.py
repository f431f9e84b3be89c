"""The daemon as other nodes and their tools see it."""
