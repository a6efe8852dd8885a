"""Label a sentence after every word: the model's state stays on the server, so each word costs one step.

python examples/live_classify.py "play some jazz on spotify"

Needs the model snips-intents, which is shipped.
"""

import os
import sys

from plainly import plainly

from service.client import Client

address = os.environ.get("SEQSERVE_ADDRESS", "127.0.0.1:50051")
model = os.environ.get("SEQSERVE_MODEL", "snips-intents")
text = " ".join(sys.argv[1:]) or "play some jazz on spotify"

with plainly(), Client(address) as client, client.session(model=model) as session:
    for word in text.split():
        output = session.feed(word + " ")
        print(f"{word:<16} {output.label:<24} {output.probability:.2f}")
    session.feed("", end_of_input=True)  # the next feed would begin a new text
    print(f"{session.input_position} tokens read by session {session.session_id[:8]}…")
