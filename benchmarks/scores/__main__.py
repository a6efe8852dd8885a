"""Measures models through a server and writes the page of scores: `python -m benchmarks.scores --data DATA`."""

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import options
from benchmarks.processes import running_server
from benchmarks.scores import page
from benchmarks.scores.bench import Bench
from benchmarks.scores.board import Line, kept, line_without_score, lines_of, quoted
from benchmarks.scores.evaluation import Evaluation, evaluations_of, known
from benchmarks.scores.protocols import PROTOCOLS
from benchmarks.scores.variants import write_variants
from benchmarks.work import newest
from service.bundle import Bundle
from service.client import Client

TIMEOUT_S = 600


def main(
    data: Annotated[Path, typer.Option(help="Folder of the data sets.")],
    recipes: Annotated[list[str] | None, typer.Argument(help="Only these; else all.")] = None,
    models: options.Models = Path("models"),
    runs: Annotated[
        Path | None,
        typer.Option(help="Folder of training runs, named like their recipes: measures fp32, too."),
    ] = None,
    write: Annotated[Path | None, typer.Option(help="The page to write; JSON goes beside it.")] = None,
) -> None:
    """Measure and print the tables in Markdown."""
    chosen = recipes or known()
    if unknown := sorted(set(chosen) - set(known())):
        raise SystemExit(f"no evaluations of {', '.join(unknown)}; there are: {', '.join(known())}")
    lines: list[Line] = []
    with tempfile.TemporaryDirectory() as folder:
        for line in _measured(chosen, data, models, runs, Path(folder)):
            lines.append(line)
            if write is not None:  # at once: a run that is interrupted keeps what it has
                _write(write, lines)
    if write is None:
        print(page.page_of(lines))
    else:
        _write(write, lines, done=chosen)


def _write(path: Path, lines: Sequence[Line], done: Sequence[str] = ()) -> None:
    """The page, and the lines beside it, from which it is made again where only some are measured."""
    beside = path.with_suffix(".json")
    before = (
        [quoted(Line(**line)) for line in json.loads(beside.read_text("utf-8"))] if beside.exists() else []
    )
    shown = sorted(kept(before, lines, done), key=lambda line: known().index(line.recipe))
    text = json.dumps([line.as_json() for line in shown], indent=1, ensure_ascii=False)
    beside.write_text(f"{text}\n", "utf-8")
    path.write_text(page.page_of(shown), "utf-8")


def _measured(
    recipes: Sequence[str], data: Path, models: Path, runs: Path | None, folder: Path
) -> Iterator[Line]:
    asked = [(name, wanted) for name in recipes for wanted in evaluations_of(name).evaluation]
    variants = {name: path for recipe in recipes for name, path in write_variants(folder, recipe).items()}
    names = {name for recipe, wanted in asked for name in wanted.models or (recipe,)}
    bundles = {name: Bundle.read(newest(models, name)) for name in names if (models / name).is_dir()}
    with ExitStack() as stack:
        bench = stack.enter_context(_bench(models, data, variants)) if bundles else None
        twins = _twins(list(bundles.values()), runs, data, folder / "twins") if runs else []
        plain = stack.enter_context(_bench(folder / "twins", data, variants)) if twins else None
        for number, (recipe, wanted) in enumerate(asked, 1):
            _tell(f"[{number}/{len(asked)}] {recipe}: {wanted.data}")
            began = time.perf_counter()
            for line in _lines(recipe, wanted, bench, plain, bundles, twins):
                yield line
                _tell(
                    f"  {line.case} {line.missing or page.score_text(line.score, line)} {line.metric}".rstrip()
                )
            _tell(f"  {time.perf_counter() - began:.0f} s")


def _lines(
    recipe: str,
    wanted: Evaluation,
    bench: Bench | None,
    plain: Bench | None,
    bundles: dict[str, Bundle],
    twins: Sequence[str],
) -> list[Line]:
    names = wanted.models or (recipe,)
    there = [name for name in names if name in bundles]
    if not there or bench is None:
        return [line_without_score(recipe, wanted, page.missing_text(recipe, names))]
    if not bench.path(wanted.file.replace("{language}", "en")).exists():
        return [line_without_score(recipe, wanted, f"no data: DATA/{wanted.file}")]
    protocol = PROTOCOLS[wanted.protocol]
    found = {name: protocol(bench, name, wanted) for name in there}
    in_fp32 = {name: protocol(plain, name, wanted) for name in there if plain and name in twins}
    return lines_of(recipe, wanted, found, in_fp32, [bundles[name] for name in there])


@contextmanager
def _bench(models: Path, data: Path, recipes: dict[str, Path]) -> Iterator[Bench]:
    """A server of its own, and a client."""
    with running_server(models) as served, Client(served.address, timeout=TIMEOUT_S) as client:
        yield Bench(client, data, recipes)


def _twins(bundles: list[Bundle], runs: Path, data: Path, folder: Path) -> list[str]:
    """The names of those that are in `folder` in float32 now."""
    from benchmarks.scores.twins import write_twins  # torch takes seconds to import

    reasons = write_twins(bundles, runs, data, folder)
    for name, reason in reasons.items():
        _tell(f"{name}: not in fp32: {reason}")
    return [bundle.manifest.name for bundle in bundles if bundle.manifest.name not in reasons]


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    typer.run(main)
