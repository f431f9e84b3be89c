"""What the daemon's process is: its user, its directory, its pid file."""
