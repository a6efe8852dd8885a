"""A feature vector, described in words: of several outputs the best, and token by token in a session.

python examples/caption.py

Needs the model shapes, which is not shipped: training/recipes/shapes.toml makes it (docs/tasks.md).
"""

import os
import random

from plainly import plainly

from service.client import Client

address = os.environ.get("SEQSERVE_ADDRESS", "127.0.0.1:50051")
model = os.environ.get("SEQSERVE_MODEL", "shapes")

with (
    plainly("Train and export training/recipes/shapes.toml first: docs/tasks.md says how."),
    Client(address) as client,
):
    vector = [random.gauss() for _ in client.model(model).feature_names]
    for hypothesis in client.caption(vector, model=model, beam_size=3, num_hypotheses=3).hypotheses:
        print(f"{hypothesis.score:7.3f}  {hypothesis.text}")

    with client.session(model=model) as session:
        session.feed_features([vector])
        for token in session.generate():
            print(token.piece, end="", flush=True)
        print()
