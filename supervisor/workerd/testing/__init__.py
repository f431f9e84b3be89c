"""What extension authors test their steps with.  Nothing here is loaded by a daemon."""

from workerd.testing.stress import stress_step

__all__ = ["stress_step"]
