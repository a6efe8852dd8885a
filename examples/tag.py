"""The slots of a request, and its intent: with the whole text, or word by word while it comes in.

python examples/tag.py "book a table for eight in maldives"

Needs the model snips-slots, which is shipped. Word by word wants a one-way tagger, such as snips-slots-live, which is
not: training/recipes/snips-slots-live.toml makes it (docs/tasks.md), SEQSERVE_MODEL=snips-slots-live chooses it.
"""

import os
import sys

from plainly import plainly

from service.client import Client

address = os.environ.get("SEQSERVE_ADDRESS", "127.0.0.1:50051")
model = os.environ.get("SEQSERVE_MODEL", "snips-slots")
text = " ".join(sys.argv[1:]) or "book a table for eight in maldives"

with plainly(), Client(address) as client:
    tagging = client.tag(text, model=model)
    print(tagging.label, {span.label: span.text for span in tagging.spans})

    if client.model(model).streams:
        with client.session(model=model) as session:
            for word in text.split():
                for one in session.feed(word + " ").words:
                    print(f"{one.word:<16} {one.label:<28} {one.probability:.2f}")
    else:
        print(f"{model} reads whole texts; word by word: SEQSERVE_MODEL=snips-slots-live, once it is trained")
