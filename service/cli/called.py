"""How this program was called, so that the commands that it prints run as they stand."""

import re
import shlex
import shutil
import sys
from pathlib import Path

NAME = "seqserve"
_COMMAND = re.compile(rf"(?<=: ){NAME}(?= [a-z])|(?<=\| ){NAME}(?= [a-z])")


def name() -> str:
    """`seqserve` where a shell finds this program by it; else the path that it was called by."""
    path, found = Path(sys.argv[0]), shutil.which(NAME)
    if path.stem != NAME or (found is not None and Path(found).resolve() == path.resolve()):
        return NAME
    return shlex.quote(str(path))


def typable(text: str) -> str:
    """The text, with the commands in it, each after a colon or a pipe, as whoever called this one can type them."""
    return _COMMAND.sub(lambda found: name(), text)
