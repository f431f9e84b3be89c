"""The whole daemon beside other task queues: see ``bench/README.md``."""
