"""The operators' plane: typed commands, the control socket that takes them, and its client."""
