"""Text to steps and back: what each task makes of a request."""
