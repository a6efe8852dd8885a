"""What a model is on disk: manifest, graphs, tokenizer, labels, card."""
