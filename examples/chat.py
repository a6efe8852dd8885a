"""Talk with a model: the session on the server is the dialogue, so each turn costs its own tokens only.

python examples/chat.py "I am looking for a restaurant in San Jose." "Yes, the second one."

Needs the model task-dialogues, which is shipped.
"""

import os
import sys

from plainly import plainly

from service.client import Client

address = os.environ.get("SEQSERVE_ADDRESS", "127.0.0.1:50051")
model = os.environ.get("SEQSERVE_MODEL", "task-dialogues")
turns = sys.argv[1:] or ["I am looking for a restaurant in San Jose.", "Yes, the second one."]

with plainly(), Client(address) as client, client.session(model=model) as session:
    for turn in turns:
        session.feed(turn)
        print(f"you    {turn}\nmodel  {session.generate().finish().text}")
    print(f"{session.input_position} tokens read, {session.output_position} written")
