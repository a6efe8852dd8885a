"""A sentence without what can be left out, and how probable it is of each word that it stays.

python examples/summarize.py "The Delhi Metro will be conducting a survey in May, a statement said Friday."

Needs the model sentence-compression, which is shipped.
"""

import os
import sys

from plainly import plainly

from service.client import Client

address = os.environ.get("SEQSERVE_ADDRESS", "127.0.0.1:50051")
model = os.environ.get("SEQSERVE_MODEL", "sentence-compression")
text = (
    " ".join(sys.argv[1:]) or "The Delhi Metro will be conducting a survey in May, a statement said Friday."
)

with plainly(), Client(address) as client:
    summary = client.summarize(text, model=model, max_ratio=0.6)
    print(summary.text)
    print(" ".join(f"{word.word}:{word.probability:.2f}" for word in summary.words))
