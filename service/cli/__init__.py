"""The command line: `seqserve serve`, `doctor`, `translate`, `classify`, `models`, `train`, `export`, `evaluate`."""

import sys


def main() -> None:
    """Run the command line of this process, and exit with its code."""
    from service.cli.run import run  # so that importing the package costs nothing

    sys.exit(run(sys.argv[1:]))
