"""What is said in a recording, written down while it is heard: a tenth of a second at a time, through a session.

python examples/transcribe.py said.wav

Needs the model fsdd-digits, which is shipped.
"""

import os
import sys
import wave

from plainly import plainly

from service.client import Client

address = os.environ.get("SEQSERVE_ADDRESS", "127.0.0.1:50051")
model = os.environ.get("SEQSERVE_MODEL", "fsdd-digits")
recording = sys.argv[1] if len(sys.argv) > 1 else "said.wav"

with (
    plainly(),
    wave.open(recording) as file,
    Client(address) as client,
    client.session(model=model) as session,
):
    while pcm := file.readframes(file.getframerate() // 10):
        for token in session.feed_pcm(pcm).heard:
            print(f"{token.seconds:6.2f} s  {token.piece!r}")
    for token in session.end_input().heard:
        print(f"{token.seconds:6.2f} s  {token.piece!r}")

    print(client.transcribe(recording, model=model).text)
