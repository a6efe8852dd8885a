"""A text in several languages by one request; models with one encoder read it once.

python examples/several.py "A dog runs over the grass."

Needs the models multi30k-en-de, -fr and -cs, which are not shipped: recipes of these names make them (docs/tasks.md).
"""

import os
import sys

from plainly import plainly

from service.client import Client

address = os.environ.get("SEQSERVE_ADDRESS", "127.0.0.1:50051")
missing = "Train and export training/recipes/multi30k-en-{de,fr,cs}.toml first: docs/tasks.md says how."
text = " ".join(sys.argv[1:]) or "A dog runs over the grass."

with plainly(missing), Client(address) as client:
    found = client.translate_into(text, ["de", "fr", "cs"], source="en")
    for target, [translation] in found.by_target.items():
        print(target, translation.text)
    print("read", found.num_readings, "time(s)")
