"""What must outlive a supervisor: the database in its state directory, and what runs now."""
