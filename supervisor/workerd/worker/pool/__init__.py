"""The pools of a daemon: the Pool step, reloads, sizes, memory, and what tasks print."""
