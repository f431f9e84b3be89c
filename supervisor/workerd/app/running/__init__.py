"""Running a task: in a child of the pool, or in the caller's own process."""
