"""A whole training run: the one place that builds the parts and hands them to each other."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from training.config import Recipe, load_recipe
from training.fit.devices import Place, barrier, placed
from training.fit.folder import Folder
from training.fit.lender import Lender
from training.fit.loop import Fit
from training.fit.progress import Reporter
from training.fit.tasks import AnyTask, open_task
from training.fit.tasks.translate import Translation
from training.models.start import Start


def train(
    recipe_file: Path,
    data: Path,
    out: Path,
    max_minutes: float | None = None,
    start_of: Callable[[Recipe], Start] | None = None,
) -> bool:
    """Trains, or goes on with the run in `out`; says whether it came to its end or was asked to stop.

    `start_of` tells what a new run of a recipe begins with, where that is not chance.
    """
    recipe = _within(load_recipe(recipe_file), max_minutes)
    start = start_of(recipe) if start_of else None
    folder = Folder(out, recipe)
    with placed(recipe.training.threads) as place:
        if place.is_first:
            folder.open(recipe_file)
            folder.write_start(start.weights if start else None)
        with Reporter(out, silent=not place.is_first) as reporter:
            task = _open(recipe, data, folder, place, Lender.of(recipe, out), start)
            return _run(task, recipe, place, folder, reporter, start)


@contextmanager
def stopped_by_signal(fit: Fit) -> Iterator[None]:
    """SIGTERM and SIGINT let the update at hand finish, save, and end the run."""

    def stop(*_: object) -> None:
        fit.stopping = True

    earlier = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _within(recipe: Recipe, max_minutes: float | None) -> Recipe:
    if max_minutes is None:
        return recipe
    training = recipe.training.model_copy(update={"max_minutes": max_minutes})
    return recipe.model_copy(update={"training": training})


def _open(
    recipe: Recipe, data: Path, folder: Folder, place: Place, lender: Lender | None, start: Start | None
) -> AnyTask:
    """The first process learns the vocabulary, or takes that of the lender or the start; the others read it."""
    if not place.is_first:
        barrier(place)
    before = lender or start
    given = before.vocabulary if before else folder.read_vocabulary()
    task = open_task(recipe, data, given)
    if isinstance(task, Translation) and lender:
        task.take_encoder(lender.weights)
    if place.is_first:
        folder.write_vocabulary(task.vocabulary)
        barrier(place)
    return task


def _run(
    task: AnyTask, recipe: Recipe, place: Place, folder: Folder, reporter: Reporter, start: Start | None
) -> bool:
    fit = Fit(recipe, task, place, folder, reporter, start)
    reporter.say(f"{recipe.name}: {len(task.train)} examples, {fit.parameter_count() / 1e6:.1f}M parameters")
    if recipe.training.bf16 and not fit.bf16:
        reporter.say(f"in float32: this {place.device.type.upper()} has no instructions for bfloat16")
    last = folder.read_last()
    if last is not None:
        fit.restore(last)
        reporter.say(f"going on after {last['step']} updates and {last['minutes']:.1f} minutes")
    with stopped_by_signal(fit):
        finished = fit.run()
    if finished:
        fit.complete()
    return finished
