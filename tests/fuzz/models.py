"""Small models of every task, of random weights: `python -m tests.fuzz.models FOLDER`.

Written by a process of its own where what runs them should not have PyTorch in it.
"""

import subprocess
import sys
from functools import cache
from pathlib import Path

from tests.fuzz.folders import new_folder


def write(models: Path) -> None:
    from service.importing import import_model
    from tests import bundles
    from tests.fakes.foreign_graphs import write_sum
    from training.export import check, check_stepwise

    for module in (check, check_stepwise):  # what is exported is known to be right: one look is enough
        vars(module)["SHAPES"] = ((2, (1, 9)),)
    bundles.write_translator(models, "translator")
    bundles.write_interpreter(models, "interpreter")
    bundles.write_classifier(models, "intents")
    bundles.write_tagger(models, "slots")
    bundles.write_deleter(models, "shorter")
    bundles.write_summarizer(models, "headlines")
    bundles.write_language_model(models, "text")
    bundles.write_language_model(models, "chat", task="chat")
    bundles.write_hearer(models, "digits")
    bundles.write_predictor(models, "waves")
    bundles.write_predictor(models, "calm", labels=True)
    bundles.write_captioner(models, "shapes")
    import_model(write_sum(new_folder()), models, "sum")


@cache
def models() -> Path:
    """The folder, written once for this process."""
    folder = new_folder()
    subprocess.run([sys.executable, "-m", "tests.fuzz.models", str(folder)], check=True, capture_output=True)
    return folder


if __name__ == "__main__":
    write(Path(sys.argv[1]))
