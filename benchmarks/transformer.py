"""A Transformer for CTranslate2 with random weights: 6 layers read, 2 write, of width 256 (feed-forward 1024)."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
from ctranslate2.specs import TransformerSpec

from benchmarks.bare import groups
from benchmarks.work import Text

LAYERS = 6, 2
HEADS, WIDTH, FEED_FORWARD, POSITIONS = 8, 256, 1024, 1024
SPECIALS = ["<blank>", "<s>", "</s>", "<unk>"]
MAX_BATCH = 64


class Transformer:
    """CTranslate2 with int8 weights; the length of its outputs is forced, since its weights mean nothing."""

    def __init__(self, folder: Path, vocabulary: int, threads: int) -> None:
        self._names = [*SPECIALS, *(f"t{token}" for token in range(len(SPECIALS), vocabulary))]
        _write(folder, self._names)
        self._translator = ctranslate2.Translator(
            str(folder), compute_type="int8", inter_threads=threads, intra_threads=1
        )

    def tokens_per_s(self, texts: Sequence[Text]) -> float:
        """Translate all texts once, 64 of the same length at a time, to as many tokens as ours has.

        Each thread takes a batch of its own: two threads in one product are slower than one.
        """
        batches = [(self._sources(group), _mean_tokens(group)) for group in groups(texts, MAX_BATCH)]
        began = time.perf_counter()
        under_way = [self._begin(sources, length) for sources, length in batches]
        num_tokens = sum(len(each.result().hypotheses[0]) for batch in under_way for each in batch)
        return num_tokens / (time.perf_counter() - began)

    def _begin(self, sources: list[list[str]], length: int) -> Any:
        return self._translator.translate_batch(
            sources,
            beam_size=1,
            max_batch_size=MAX_BATCH,
            min_decoding_length=length,
            max_decoding_length=length,
            asynchronous=True,
        )

    def _sources(self, group: Sequence[Text]) -> list[list[str]]:
        return [[self._names[token] for token in text.source] for text in group]


def _mean_tokens(group: Sequence[Text]) -> int:
    return max(1, round(sum(text.num_tokens for text in group) / len(group)))


def _write(folder: Path, names: list[str]) -> None:
    chance = np.random.default_rng(0)

    def weights(*shape: int) -> Any:
        return (chance.standard_normal(shape) * 0.05).astype(np.float32)

    def linear(layer: Any, outputs: int, inputs: int) -> None:
        layer.weight, layer.bias = weights(outputs, inputs), np.zeros(outputs, np.float32)

    def norm(layer: Any) -> None:
        layer.gamma, layer.beta = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)

    def block(layer: Any) -> None:
        norm(layer.self_attention.layer_norm)
        linear(layer.self_attention.linear[0], 3 * WIDTH, WIDTH)
        linear(layer.self_attention.linear[1], WIDTH, WIDTH)
        norm(layer.ffn.layer_norm)
        linear(layer.ffn.linear_0, FEED_FORWARD, WIDTH)
        linear(layer.ffn.linear_1, WIDTH, FEED_FORWARD)

    def side(part: Any, table: Any, embedding: Any) -> None:
        embedding.weight, part.position_encodings.encodings = table, weights(POSITIONS, WIDTH)
        norm(part.layer_norm)
        for layer in part.layer:
            block(layer)

    spec, table = TransformerSpec.from_config(LAYERS, HEADS), weights(len(names), WIDTH)
    side(spec.encoder, table, spec.encoder.embeddings[0])
    side(spec.decoder, table, spec.decoder.embeddings)
    for layer in spec.decoder.layer:
        norm(layer.attention.layer_norm)
        for at, times in enumerate((1, 2, 1)):
            linear(layer.attention.linear[at], times * WIDTH, WIDTH)
    spec.decoder.projection.weight = table
    spec.decoder.projection.bias = np.zeros(len(names), np.float32)
    spec.register_source_vocabulary(names)
    spec.register_target_vocabulary(names)
    spec.validate()
    spec.optimize(quantization="int8")
    folder.mkdir(parents=True)
    spec.save(str(folder))
