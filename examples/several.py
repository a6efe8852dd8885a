"""A text in several languages by one request; models with one encoder read it once.

python examples/several.py "A dog runs over the grass."
"""

import os
import sys

from service.client import Client

address = os.environ.get("SEQSERVE_ADDRESS", "127.0.0.1:50051")
text = " ".join(sys.argv[1:]) or "A dog runs over the grass."

with Client(address) as client:
    found = client.translate_into(text, ["de", "fr", "cs"], source="en")
    for target, [translation] in found.by_target.items():
        print(target, translation.text)
    print("read", found.num_readings, "time(s)")
