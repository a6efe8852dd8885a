"""Whether this machine's products of eight-bit numbers are exact, and what a session is told where they are not.

Without VNNI an x86 CPU multiplies uint8 by int8 in pairs whose sum is cut off at 16 bits: other numbers than elsewhere.
ONNX Runtime has an option for that, `session.x64quantprecision`. It keeps to slower products, also on CPUs with VNNI,
which need none of it (here they take 2.3 times as long). So the machine is asked, once: not by the names of its
features, but by the largest product that there can be.
"""

from base64 import b64decode
from functools import cache
from typing import Any

import numpy as np
import onnxruntime

LARGEST = b64decode(
    "CAg6kgEKLAoBcxIBdyIPQ29uc3RhbnRPZlNoYXBlKhMKBXZhbHVlKgcIARADSgF/oAEEChgKAXgKAXcSAXkiDU1hdE11bEludGVn"
    "ZXISAXAqGQgCEAdCAXNKEEAAAAAAAAAAQAAAAAAAAABaFAoBeBIPCg0IAhIJCgMSAWIKAghAYhQKAXkSDwoNCAYSCQoDEgFiCgII"
    "QEIECgAQDQ=="
)
"""An ONNX graph: `MatMulInteger` of x [batch, 64] uint8 and 127 everywhere [64, 64] int8 (`ConstantOfShape`)."""
EXPECTED = 64 * 255 * 127


def make_exact(options: Any) -> None:
    """Sessions with these `SessionOptions` multiply eight-bit numbers exactly, as fast as that can be had here."""
    if not products_are_exact():
        options.add_session_config_entry("session.x64quantprecision", "1")


@cache
def products_are_exact() -> bool:
    """Whether they are so without being asked for; of one row and of many, for which there are other kernels."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(LARGEST, options, providers=["CPUExecutionProvider"])
    rows = [np.full((batch, 64), 255, np.uint8) for batch in (1, 2, 64)]
    return all(bool((session.run(None, {"x": x})[0] == EXPECTED).all()) for x in rows)
