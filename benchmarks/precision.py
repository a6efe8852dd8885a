"""The translator's graphs in float32 and in row-wise int8, in the same bare loop: `python -m benchmarks.precision`.

Both are written by the exporter from the same weights: those of a training run (`--run`), or random ones.
"""

import tempfile
from pathlib import Path

import typer

from benchmarks import options
from benchmarks.bare import BareLoop, Loop, Pace
from benchmarks.eager import EagerLoop
from benchmarks.figures import Figure
from benchmarks.options import QUICK_S, numbers_of
from benchmarks.report import Column, Report, publish, rounds_note
from benchmarks.variants import write_variant
from benchmarks.work import Text, newest, num_texts, sentences_of
from service.bundle import Bundle
from service.bundle.tokenizer import EOS

COLUMNS = [
    Column("batch", "batch", "{:.0f}"),
    Column("what", "arithmetic"),
    Column("encode_ms", "encode, ms", "{:.2f}", spread=True),
    Column("step_ms", "step, ms", "{:.2f}", spread=True),
    Column("tokens_per_s", "tokens/s, with encodes"),
    Column("encode", "encode, × fp32", "{:.2f}", spread=True),
    Column("step", "step, × fp32", "{:.2f}", spread=True),
    Column("both", "tokens/s, × fp32", "{:.2f}", spread=True),
]


def main(
    models: options.Models = Path("models"),
    model: options.Translator = "tatoeba-es-en",
    texts: options.Texts = None,
    batches: options.Numbers = "1,8,64",
    rounds: options.Rounds = 5,
    seconds: options.Seconds = 1.0,
    threads: options.Threads = 1,
    run: options.Run = None,
    quick: options.Quick = False,
    out: options.Out = None,
) -> None:
    """Measure and print a table in Markdown."""
    if quick:
        rounds, seconds, batches = 1, QUICK_S / 4, "2"
    path, report = newest(models, model), Report(f"Arithmetic of {model}, {threads} thread(s)", COLUMNS)
    work = written(Bundle.read(path), sentences_of(texts, num_texts(quick)))
    with tempfile.TemporaryDirectory() as folder:
        loops: dict[str, Loop] = {
            "fp32": BareLoop(write_variant(path, Path(folder) / "fp32", "fp32", run), threads),
            "int8": BareLoop(write_variant(path, Path(folder) / "int8", "int8", run), threads),
            "ONNX Runtime's quantize_dynamic": BareLoop(
                write_variant(path, Path(folder) / "stock", "stock int8", run), threads
            ),
            "PyTorch eager fp32": EagerLoop(path, threads, run),
        }
        for batch in numbers_of(batches):
            paces = [{w: loop.pace(work, batch, seconds) for w, loop in loops.items()} for _ in range(rounds)]
            report.rows += [row_of(batch, what, paces) for what in loops]
    report.notes = [
        f"{len(work)} texts, each translation as long as its text",
        rounds_note(rounds, seconds),
        f"weights {f'of {run.name}' if run else 'are random'}",
    ]
    publish([report], out)


def written(bundle: Bundle, sentences: list[str]) -> list[Text]:
    """Texts, with translations that are taken to be as long as they are."""
    found = [(*bundle.tokenizer.encode(sentence), EOS) for sentence in sentences]
    return [Text(sentence, ids, len(ids) - 1) for sentence, ids in zip(sentences, found, strict=True)]


def row_of(batch: int, what: str, paces: list[dict[str, Pace]]) -> dict[str, Figure | str | None]:
    own, base = [each[what] for each in paces], [each["fp32"] for each in paces]
    pairs = list(zip(own, base, strict=True))
    return {
        "batch": Figure.of([batch]),
        "what": what,
        "encode_ms": Figure.of(map(encode_ms, own)),
        "step_ms": Figure.of(map(step_ms, own)),
        "tokens_per_s": Figure.of(pace.with_encodes for pace in own),
        "encode": Figure.of(encode_ms(fp32) / encode_ms(pace) for pace, fp32 in pairs),
        "step": Figure.of(step_ms(fp32) / step_ms(pace) for pace, fp32 in pairs),
        "both": Figure.of(pace.with_encodes / fp32.with_encodes for pace, fp32 in pairs),
    }


def encode_ms(pace: Pace) -> float:
    return 1e3 * pace.encode_s / pace.num_encodes


def step_ms(pace: Pace) -> float:
    return 1e3 * pace.step_s / pace.num_steps


if __name__ == "__main__":
    typer.run(main)
