"""The daemon as a service: what the service manager (systemd) is told, and whether the daemon gets on."""
