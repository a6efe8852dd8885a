"""Triton's client on seqserve: a text translated, a text labelled as it is typed, a graph run step by step.

    pip install 'tritonclient[grpc]'
    python examples/triton_sequences.py 127.0.0.1:50051

Runs in an environment of its own or beside ours; only the wire code of the two cannot be loaded in one process.
"""

import sys
from functools import partial
from queue import Queue

import numpy as np
import tritonclient.grpc as triton


def text(piece):
    tensor = triton.InferInput("text", [1, 1], "BYTES")
    tensor.set_data_from_numpy(np.array([[piece.encode()]], dtype=object))
    return [tensor]


def tokens(*ids):
    tensor = triton.InferInput("tokens", [1, len(ids)], "INT64")
    tensor.set_data_from_numpy(np.array([ids], dtype=np.int64))
    return [tensor]


def translate(client):
    answer = client.infer("tatoeba-es-en", text("¿Dónde está la biblioteca?"), parameters={"beam_size": 4})
    print("translated:", answer.as_numpy("text")[0, 0].decode())


def label_while_typing(client, *pieces):
    """One sequence on a stream: the label of the text so far comes back for each piece."""
    answers = Queue()
    client.start_stream(callback=partial(lambda result, error: answers.put((result, error))))
    for index, piece in enumerate(pieces):
        starts, ends = index == 0, index == len(pieces) - 1
        client.async_stream_infer(
            "snips-intents", text(piece), sequence_id="typing", sequence_start=starts, sequence_end=ends
        )
    for piece in pieces:
        result, error = answers.get()
        if error:
            raise error
        print(f"{piece!r}:", result.as_numpy("label")[0, 0].decode())
    client.stop_stream()


def step_by_step(client):
    """A graph of the model, one token after the other: the state stays on the server."""
    for index, token in enumerate((10, 11, 12)):
        step = client.infer(
            "snips-intents.classify",
            tokens(token),
            sequence_id=42,
            sequence_start=index == 0,
            sequence_end=index == 2,
        )
    whole = client.infer("snips-intents.classify", tokens(10, 11, 12))
    same = np.array_equal(step.as_numpy("log_probs"), whole.as_numpy("log_probs"))
    print("step by step equals the whole, bit for bit:", same)


if __name__ == "__main__":
    with triton.InferenceServerClient(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50051") as client:
        translate(client)
        label_while_typing(client, "what will ", "the weather ", "be tomorrow ")
        step_by_step(client)
