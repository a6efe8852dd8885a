"""Translate a sentence and print each token as the model makes it.

python examples/stream_translate.py "¿Dónde está la biblioteca?"

Needs the model tatoeba-es-en, which is shipped.
"""

import os
import sys

from plainly import plainly

from service.client import Client

address = os.environ.get("SEQSERVE_ADDRESS", "127.0.0.1:50051")
text = " ".join(sys.argv[1:]) or "Me gusta leer por la noche."

with plainly(), Client(address) as client:
    stream = client.stream_translate(text, source="es", target="en")
    for token in stream:
        print(token.piece, end="", flush=True)
    print(f"\n{len(stream.result.tokens)} tokens, score {stream.result.score:.2f}")
