"""Measurements of the service, each beside a limit measured in the same run: ratios carry over, times do not."""
