"""The export of models that write down what is said."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from service.bundle.best_path import best_path
from service.bundle.features import SoundSpec
from service.bundle.sound import Framer
from training.config import TranscriptionRecipe
from training.data.readers.recordings import read_split
from training.data.scores import word_error_rate
from training.export.arithmetic import Arithmetic
from training.export.check import Array
from training.export.check_stepwise import StepwiseCheck
from training.export.dev import Dev, DevBatch
from training.export.stepwise import StepwiseGraphs
from training.export.tasks.base import Export, Facts, Graphs, Runners, reads_on
from training.models.stepwise import Stepwise

TWO_WAY = (
    "it reads the sound in both directions, so what is said last bears on what was said first; send whole recordings, "
    "or train a model with encoder.bidirectional = false"
)


class TranscriptionExport(Export[TranscriptionRecipe, Stepwise]):
    """One graph; what counts on dev is the share of words that are right."""

    score_name = "100 - WER"

    def graphs(self, numbers: Arithmetic) -> Graphs:
        recipe = self.run.recipe
        return StepwiseGraphs("hear", self.run.model, recipe.model, numbers, recipe.export.traces).graphs()

    def check(self, runners: Runners, tolerance: float | None) -> float:
        return StepwiseCheck(self.run.model, runners, tolerance).run()

    def facts(self, graphs: Graphs) -> Facts:
        why_not = "" if reads_on(graphs, "hear") else TWO_WAY
        return Facts("transcribe", why_not, target_language=self.run.recipe.target)

    def dev(self, root: Path) -> Dev:
        recipe = self.run.recipe
        said = read_split(root, "dev", recipe.data, recipe.sound.sample_rate)
        return Dev.spaced(said, recipe.export.gate_examples)

    def row(self, given: Any) -> Array:
        spec = self.run.vocabulary.spec
        assert isinstance(spec, SoundSpec)
        return Framer.whole(spec, given)

    def answer(self, runners: Runners, batch: DevBatch) -> list[str]:
        found = runners["hear"]({"features": batch.rows, "lengths": batch.lengths})["log_probs"].argmax(-1)
        paths = [best_path(ids[:length]) for ids, length in zip(found, batch.lengths, strict=True)]
        return [self.run.vocabulary.tokenizer.decode([heard.token for heard in path]) for path in paths]

    def score(self, answers: Sequence[str], references: Sequence[str]) -> float:
        return 100 - word_error_rate(answers, references)
