"""The signals that ask a server to end: it drains, and a second one ends what still runs."""

import signal


def endings() -> tuple[signal.Signals, ...]:
    """SIGTERM, SIGINT, and the SIGHUP of a terminal that is closed: not where the process is to stay (`nohup`)."""
    stays = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return (signal.SIGTERM, signal.SIGINT) if stays else (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
