"""The command line: `seqserve serve`, `doctor`, `translate`, `classify`, `models`, `train`, `export`, `evaluate`."""

import sys


def main() -> None:
    """Run the command line of this process, and exit with its code."""
    try:
        from service.cli.run import run  # so that importing the package costs nothing
        from service.cli.streams import complete

        complete()
        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # before there was anything to interrupt
        code = 130
    sys.exit(code)
