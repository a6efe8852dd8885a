"""A model as one file, wherever its weights lie."""

from pathlib import Path

from service.bundle.messages import Damaged
from service.engine.onnx_file import has_external_data
from service.errors import BundleRefused


def whole_file(path: Path) -> bytes:
    """The file's bytes as they are, or written anew with the weights that lie beside it; BundleRefused."""
    data = path.read_bytes()
    try:
        is_whole = not has_external_data(data)
    except Damaged:
        return data  # whoever loads it says what it is instead
    if is_whole:
        return data
    try:
        import onnx
    except ModuleNotFoundError:
        raise BundleRefused(
            f"{path}: keeps weights in another file, and a bundle's graph is one file. To bring them in, install onnx: "
            "pip install 'seqserve[import]'; or export again with external_data=False"
        ) from None
    return bytes(onnx.load(str(path)).SerializeToString())
