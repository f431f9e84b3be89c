"""What an app and its tasks can be told: settings, options, and the checks of both."""
