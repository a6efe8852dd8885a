"""Go on with a text, character by character; then go on from where that ended.

python examples/generate.py "ROMEO:"

Needs the model tinyshakespeare, which is shipped.
"""

import os
import sys

from plainly import plainly

from service.client import Client

address = os.environ.get("SEQSERVE_ADDRESS", "127.0.0.1:50051")
model = os.environ.get("SEQSERVE_MODEL", "tinyshakespeare")
prompt = " ".join(sys.argv[1:]) or "ROMEO:"

with plainly(), Client(address) as client, client.session(model=model) as session:
    session.feed(prompt + "\n")
    for seed in (1, 2):
        for token in session.generate(temperature=0.8, seed=seed, max_length=30):
            print(token.piece, end="", flush=True)
        print(f"\n… {session.output_position} characters, and the state of all of them is on the server")
