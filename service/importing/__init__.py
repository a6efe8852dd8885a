"""Makes a bundle of a recurrent ONNX model that someone else exported."""

from service.importing.importer import Imported, import_model
from service.importing.wishes import Wishes

__all__ = ["Imported", "Wishes", "import_model"]
