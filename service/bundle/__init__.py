"""What a model is on disk: manifest, graphs, tokenizer, labels."""

from service.bundle.reader import Bundle

__all__ = ["Bundle"]
