"""The steps of the two blueprints: where they come from, what they share, and how they fail."""
