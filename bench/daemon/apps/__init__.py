"""The same tasks for every contender; a file runs in its environment and imports nothing of ours."""
