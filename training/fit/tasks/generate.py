"""Language models, trained by truncated backpropagation through time (Williams & Peng 1990)."""

import random
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from service.bundle.tokenizer import BOS, EOS, PAD
from training.config.generate import ChatRecipe, LanguageModelRecipe, TextData
from training.data.batches import Batch, Example, Plan
from training.data.readers.documents import read_text
from training.data.streams import NOTHING, Piece, lay
from training.data.tokenizers import learn_tokenizer
from training.data.vocabulary import Vocabulary
from training.fit.losses import smoothed_cross_entropy
from training.fit.tasks.base import Objective, Task, mean_loss
from training.models.language_model import LanguageModel
from training.modules.cells import State

LM = TypeVar("LM", bound=LanguageModelRecipe | ChatRecipe)

DEV_STREAMS, DEV_CHUNK = 8, 256
WINDOW = 256
"""Tokens after which the state is given up, in the score that is comparable with models that have none."""


class LanguageModelObjective(Objective[LanguageModel]):
    """Summed loss of each next token; the state after a batch is where the next batch begins.

    A row that begins with BOS begins without a state. Training and evaluation carry states of their own.
    """

    def __init__(self, model: LanguageModel, smoothing: float, restart: float = 0.0) -> None:
        super().__init__(model)
        self.smoothing, self.restart = smoothing, restart
        self._carried: dict[bool, State] = {}

    def forward(self, batch: Batch) -> Tensor:
        source = self._restarted(batch.source)
        whole = torch.full((len(source),), source.shape[1])  # padding is read, too: nothing comes after it
        readouts, state = self.model.read(source, whole, self._begin(source))
        self._carried[self.training] = tuple(tensor.detach().float() for tensor in state)
        output, smoothing = self.model.output, self.smoothing if self.training else 0.0
        return smoothed_cross_entropy(
            readouts.flatten(0, 1), output.weight, output.bias, batch.target.flatten(), smoothing
        )

    def count(self, batch: Batch) -> int:
        """Tokens that something is said to."""
        return int((batch.target != PAD).sum())

    def carried(self) -> list[Tensor] | None:
        return list(self._carried[True]) if True in self._carried else None

    def carry(self, state: list[Tensor] | None) -> None:
        device = self.model.output.bias.device
        self._carried = {} if state is None else {True: tuple(tensor.to(device) for tensor in state)}

    def _restarted(self, source: Tensor) -> Tensor:
        if not (self.training and self.restart):
            return source
        chosen = torch.rand(len(source)) < self.restart
        source = source.clone()
        source[chosen.to(source.device), 0] = BOS
        return source

    def _begin(self, source: Tensor) -> State | None:
        state = self._carried.get(self.training)
        if state is None or state[0].shape[1] != len(source):
            return None
        goes_on = (source[:, 0] != BOS)[None, :, None]
        return tuple(tensor * goes_on for tensor in state)


class Streamed(Task[LM, LanguageModel]):
    """Documents in parallel streams; an example is a whole document: each of its tokens, and what comes next."""

    def __init__(self, recipe: LM, root: Path, given: Vocabulary) -> None:
        super().__init__(recipe, root, given)
        train, dev = self._texts(root, recipe.data.train), self._texts(root, recipe.data.dev, dev=True)
        self.vocabulary = Vocabulary(
            given.subwords or learn_tokenizer((text for texts in train for text in texts), recipe.tokenizer)
        )
        self.train, self.dev = ([self._document(texts) for texts in side] for side in (train, dev))
        self._pieces: list[Piece] = []

    @abstractmethod
    def _texts(self, root: Path, files: tuple[str, ...], dev: bool = False) -> list[list[str]]:
        """The parts of each document, which are encoded one by one."""

    @abstractmethod
    def _joined(self, parts: list[list[int]]) -> list[int]:
        """A document's tokens, its end included where it has one."""

    def plan(self, epoch: int) -> Plan:
        """Chunks in the order of their streams."""
        section = self._recipe.training
        num_streams = max(1, section.batch_tokens // self._recipe.data.chunk)
        dice = random.Random(f"{section.batch_tokens}/{self._recipe.seed}/{epoch}")
        self._pieces, plan = lay(self.train, num_streams, self._recipe.data.chunk, dice)
        return plan

    def share(self, plan: Plan, rank: int, world: int) -> Plan:
        """Each process has streams of its own."""
        return [rows[rank::world] for rows in plan]

    def batch(self, rows: list[int]) -> Batch:
        """The chunks with these numbers in the epoch that `plan` was asked for last."""
        return self._batch(self._pieces, rows, self.train)

    def dev_batches(self) -> list[Batch]:
        """All of dev in a few streams, in order: for an objective that carries its state."""
        pieces, plan = lay(self.dev, DEV_STREAMS, DEV_CHUNK, None)
        return [self._batch(pieces, rows, self.dev) for rows in plan]

    def objective(self) -> LanguageModelObjective:
        model = LanguageModel.from_recipe(self._recipe, self.vocabulary)
        data = self._recipe.data
        restart = data.restart if isinstance(data, TextData) else 0.0
        return LanguageModelObjective(model, self._recipe.training.label_smoothing, restart)

    def _batch(self, pieces: list[Piece], rows: list[int], documents: Sequence[Example]) -> Batch:
        nothing = Example([], [])
        return self.collate([nothing if row == NOTHING else pieces[row].of(documents) for row in rows])

    def _document(self, texts: list[str]) -> Example:
        ids = [BOS, *self._joined(self.vocabulary.tokenizer.encode_batch(texts))]
        return Example(ids[:-1], ids[1:])


class Generation(Streamed[LanguageModelRecipe]):
    """Running text."""

    def scores(self, model: LanguageModel, device: torch.device) -> dict[str, float]:
        """Loss per token where the state begins anew every `WINDOW` tokens; of this one less is better."""
        objective = LanguageModelObjective(model, 0.0).eval()
        targets = [token for document in self.dev for token in document.target]
        windows = [targets[at : at + WINDOW] for at in range(0, len(targets), WINDOW)]
        examples = [Example([BOS, *window[:-1]], window) for window in windows]
        batches = [self.collate(examples[at : at + 32]).to(device) for at in range(0, len(examples), 32)]
        return {f"reset_{WINDOW}": mean_loss(objective, batches)}

    def _texts(self, root: Path, files: tuple[str, ...], dev: bool = False) -> list[list[str]]:
        data = self._recipe.data
        return [[text] for text in read_text(root, files, data, data.dev_part if dev else data.train_part)]

    def _joined(self, parts: list[list[int]]) -> list[int]:
        ends = [] if self._recipe.data.format == "text" else [EOS]
        return [*parts[0], *ends]
