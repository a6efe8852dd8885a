"""The slots of a request, and its intent: with the whole text, or word by word while it comes in.

python examples/tag.py "book a table for eight in maldives"
"""

import os
import sys

from service.client import Client

address = os.environ.get("SEQSERVE_ADDRESS", "127.0.0.1:50051")
model = os.environ.get("SEQSERVE_MODEL", "snips-slots-live")
text = " ".join(sys.argv[1:]) or "book a table for eight in maldives"

with Client(address) as client:
    tagging = client.tag(text, model=model)
    print(tagging.label, {span.label: span.text for span in tagging.spans})

    with client.session(model=model) as session:
        for word in text.split():
            for one in session.feed(word + " ").words:
                print(f"{one.word:<16} {one.label:<28} {one.probability:.2f}")
