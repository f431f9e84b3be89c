"""Programs beside the daemon: supervised, and never in the way of its loop."""

from __future__ import annotations

from workerd.worker.beside.program import SideProgram

__all__ = ["SideProgram"]
