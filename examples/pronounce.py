"""How words are said: the likeliest pronunciations of each, and which letters the best one's sounds come from.

python examples/pronounce.py read lead

Needs the model cmudict, which is shipped.
"""

import os
import sys

from plainly import plainly

from service.client import Client

address = os.environ.get("SEQSERVE_ADDRESS", "127.0.0.1:50051")
model = os.environ.get("SEQSERVE_MODEL", "cmudict")

with plainly(), Client(address) as client:
    for word in sys.argv[1:] or ["read", "lead"]:
        said = client.translate(word, model=model, beam_size=4, num_hypotheses=3, return_attention=True)
        for hypothesis in said.hypotheses:
            print(f"{word:<12} {hypothesis.score:7.3f}  {hypothesis.text}")
        print(" ".join(f"{token.piece}←{piece}" for token, piece, _ in said.aligned))
