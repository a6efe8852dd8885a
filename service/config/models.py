"""Settings of models and how they run: repository, engine, scheduler."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from service.config.piece import Piece


class ModelSettings(Piece):
    """Where the models lie."""

    repository: Path = Path("models")
    """Folder with `<name>/<version>/manifest.json`."""


class EngineSettings(Piece):
    """How graphs run."""

    device: Literal["cpu", "cuda"] = "cpu"
    """cuda needs onnxruntime-gpu; answers are then not the same bit for bit, and eight-bit products stay on the CPU."""
    threads: int = Field(1, ge=1, le=256)
    """Threads inside one graph. One is best for small models: other models and the wire use the other cores."""


class SchedulerSettings(Piece):
    """How steps become batches, and how many may wait."""

    max_batch: int = Field(64, ge=1, le=4096)
    """Rows of one batch."""
    max_queue: int = Field(1024, ge=1)
    """Jobs of one model accepted and not finished; past it, requests are refused at once."""
    max_wait_s: float = Field(2.0, gt=0)
    """How long a job of one model may be expected to wait, in a burst; where it would be longer, requests are refused
    at once."""
    standing_wait_s: float = Field(0.3, gt=0)
    """The same where the queue has not been short for a second: it is overload then, and a longer wait helps nobody."""
    max_run_s: float = Field(60.0, gt=0)
    """How long one batch may run; past it, it is ended, and those who are in it are told that it failed."""
    max_encode_tokens: int = Field(1024, ge=1)
    """Padded tokens (rows × longest) of one batch of a graph that reads sequences: bounds how long running streams
    wait for a new one to be read. A longer row runs alone."""
    max_context_tokens: int = Field(16384, ge=1)
    """Padded tokens of context in one batch of any other graph: a long text does not slow its batch-mates."""
