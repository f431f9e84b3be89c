"""The command line: one file a verb, loaded when it is typed."""

try:
    from workerd.cli.main import main
except KeyboardInterrupt:  # Ctrl-C before anything has begun
    raise SystemExit(130) from None

__all__ = ["main"]
