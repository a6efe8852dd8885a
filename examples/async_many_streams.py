"""Translate many sentences at once, each streamed: the server runs their steps in common batches.

python examples/async_many_streams.py letters.txt       a sentence a line

Needs the model tatoeba-es-en, which is shipped.
"""

import asyncio
import os
import sys
import time
from pathlib import Path

from plainly import plainly

from service.client import AsyncClient, Translation

ADDRESS = os.environ.get("SEQSERVE_ADDRESS", "127.0.0.1:50051")
SENTENCES = [
    "¿Qué hora es?",
    "Tengo hambre.",
    "Vámonos a casa.",
    "No sé qué decirte.",
    "Hace mucho frío hoy.",
]


async def translate(client: AsyncClient, sentence: str) -> Translation:
    async with client.stream_translate(sentence, source="es", target="en") as stream:
        async for _token in stream:
            pass  # show it to somebody
        return stream.result


async def main(sentences: list[str]) -> None:
    started = time.perf_counter()
    async with AsyncClient(ADDRESS) as client:
        results = await asyncio.gather(*(translate(client, sentence) for sentence in sentences))
    seconds = time.perf_counter() - started
    for sentence, result in zip(sentences, results, strict=True):
        print(f"{sentence}  →  {result.text}")
    num_tokens = sum(len(result.tokens) for result in results)
    print(f"{len(results)} streams at once, {num_tokens} tokens in {seconds:.2f} s")


if __name__ == "__main__":
    given = [
        line for name in sys.argv[1:] for line in Path(name).read_text("utf-8").splitlines() if line.strip()
    ]
    with plainly():
        asyncio.run(main(given or SENTENCES))
