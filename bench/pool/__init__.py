"""The pool alone beside other process pools: ``python -m bench.pool``, ``python -m bench.pool.starts``."""
