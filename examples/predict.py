"""How strange each reading of a series is, as the readings come, and how it will go on.

python examples/predict.py

Needs the model nab, which is shipped.
"""

import math
import os

from plainly import plainly

from service.client import Client

address = os.environ.get("SEQSERVE_ADDRESS", "127.0.0.1:50051")
model = os.environ.get("SEQSERVE_MODEL", "nab")
readings = [[50 + 10 * math.sin(at / 3)] for at in range(60)]
readings[45] = [90.0]

with plainly(), Client(address) as client, client.session(model=model) as session:
    for at, reading in enumerate(readings):
        [step] = session.feed_features([reading]).steps
        if step.anomaly_score > 4:
            print(f"reading {at}, {reading[0]:.1f}: {step.anomaly_score:.1f} times the usual error")

    ahead = client.predict(readings, model=model, horizon=3).ahead
    print("then:", ", ".join(f"{number:.1f}" for (number,) in ahead))
