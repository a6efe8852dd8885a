"""A translation that comes while the text still does: each word as soon as `WAIT` words more of the source are there.

python examples/interpret.py "¿Dónde está la biblioteca de la ciudad?"

Needs the model tatoeba-es-en-simultaneous, which is shipped.
"""

import os
import sys

from plainly import plainly

from service.client import Client

address = os.environ.get("SEQSERVE_ADDRESS", "127.0.0.1:50051")
model = os.environ.get("SEQSERVE_MODEL", "tatoeba-es-en-simultaneous")
wait = int(os.environ.get("WAIT", "3"))
text = " ".join(sys.argv[1:]) or "¿Dónde está la biblioteca de la ciudad?"

with plainly(), Client(address) as client, client.session(model=model, wait_k=wait) as session:
    for word in text.split():
        print(f"{word:<16} {session.feed(word + ' ').written}")
    print(f"{'(end)':<16} {session.feed('', end_of_input=True).written}")
