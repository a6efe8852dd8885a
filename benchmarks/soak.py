"""A server that is used and misused in every way for as long as one likes: `python -m benchmarks.soak --minutes 60`.

Fails (exit 1) where something that it holds grows beyond a bound, or is still held when everybody has left, and where
what it was to be used for was refused more often than not.
"""

import asyncio
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import options
from benchmarks.machine import describe
from benchmarks.processes import Running, running_server
from benchmarks.soak_samples import BOUNDS, Sample, grown, left_over, sample, trends
from benchmarks.soak_uses import Users
from benchmarks.stores import has_redis, redis

SETTINGS = {
    "SERVER__ADMIN": "true",
    "SERVER__MAX_UNREAD_S": "4",
    "SERVER__MAX_IDLE_S": "10",
    "SERVER__UNLOAD_DEADLINE_S": "1",
    "SESSIONS__COMPACT_AFTER_S": "1",
    "SESSIONS__DEFAULT_TTL_S": "5",
    "STORE__TIMEOUT_S": "0.5",
    "STORE__MAX_CONNECTIONS": "4",
}
"""Everything ends soon, so that a short run sees the end of it."""
SPARE = "spare"
NUM_SAMPLES = 300
SETTLING_S = 40.0
"""How long what is left over at the end may take to go."""


def main(
    minutes: Annotated[float, typer.Option(min=0.05, help="How long.")] = 2.0,
    models: options.Models = Path("models"),
    model: options.Translator = "tatoeba-es-en",
    classifier: options.Classifier = "snips-intents",
    out: Annotated[Path | None, typer.Option("--json", help="Write all samples as JSON, too.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw the curves (extra `pictures`).")] = None,
) -> None:
    """Use it, look at it, say whether it is flat."""
    with serving(models, model, classifier) as (served, store):
        users = Users(served.address, model, classifier, SPARE, store)
        samples, last = asyncio.run(soaked(served, users, minutes * 60))
    found = trends(samples)
    print(markdown(minutes, samples, users))
    if out:
        out.write_text(json.dumps({"machine": describe(), "samples": samples}) + "\n", "utf-8")
    if picture:
        from benchmarks.soak_picture import draw

        draw(samples, found, picture)
    wrong = [
        *(f"{name} has grown" for name in grown(found)),
        *(f"left over: {what}" for what in left_over(last)),
        *users.hardly_done(),
    ]
    print("- flat" if not wrong else f"- NOT FLAT: {'; '.join(wrong)}")
    if wrong:
        raise typer.Exit(1)


async def soaked(served: Running, users: Users, seconds: float) -> tuple[list[Sample], Sample]:
    """Samples while it is used; and one when nobody uses it any more."""
    samples: list[Sample] = []
    using, began = asyncio.create_task(users.use(seconds)), time.monotonic()
    while not using.done():
        samples.append(await asyncio.to_thread(sample, served) | {"s": time.monotonic() - began})
        await asyncio.wait([using], timeout=max(0.25, seconds / NUM_SAMPLES))
    await using
    until = time.monotonic() + SETTLING_S
    last = await asyncio.to_thread(sample, served)
    while left_over(last) and time.monotonic() < until:
        await asyncio.sleep(1)
        last = await asyncio.to_thread(sample, served)
    return samples, last


@contextmanager
def serving(models: Path, translator: str, classifier: str) -> Iterator[tuple[Running, int]]:
    """A server that may be told to load and unload, with a store where there is Redis; and the store's process."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in (translator, classifier):
            shutil.copytree(models / name, folder / "models" / name)
        spare = folder / "models" / SPARE / "1"
        shutil.copytree(sorted((models / classifier).iterdir())[-1], spare)
        manifest = spare / "manifest.json"
        manifest.write_text(json.dumps(json.loads(manifest.read_text("utf-8")) | {"name": SPARE}), "utf-8")
        settings, store = dict(SETTINGS), 0
        if has_redis():
            url, store = stack.enter_context(redis(folder))
            settings |= {"STORE__KIND": "redis", "STORE__URL": url}
        stack.enter_context(environment({f"SEQSERVE_{key}": value for key, value in settings.items()}))
        yield (
            stack.enter_context(running_server(folder / "models", arguments=["--log-level", "error"])),
            store,
        )


@contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def markdown(minutes: float, samples: list[Sample], users: Users) -> str:
    found = trends(samples)
    lines = [
        f"### Soak: {minutes:g} minutes, {len(samples)} samples\n",
        "| held | mean | grown over the run | may grow |",
        "|---|---|---|---|",
        *(
            f"| {name} | {one.mean:,.1f} | {one.grown:+,.1f} ± {one.error:,.1f} | {one.allowed(BOUNDS[name]):,.0f} |"
            for name, one in found.items()
        ),
        "",
        f"- rounds of use: {', '.join(f'{name} {num:,}' for name, num in sorted(users.num_done.items()))}",
        f"- what callers were told: {', '.join(f'{name} {num:,}' for name, num in sorted(users.num_failed.items()))}",
        f"- {describe()}",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)
