"""How long what follows a run tries to reach the broker."""

from __future__ import annotations

# A message that only needs the broker back is worth waiting for: about a minute.
PATIENT = {"max_retries": 60, "interval_start": 0.2, "interval_step": 0.2, "interval_max": 1.0}
