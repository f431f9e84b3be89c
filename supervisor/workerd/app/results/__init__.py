"""Results of calls: where they are kept, and how they are waited for."""
