"""The daemon's side of periodic tasks: the step, and the program beside the daemon that sends them."""
