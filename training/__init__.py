"""Training of recurrent sequence models: a recipe and a data folder in, checkpoints and a tokenizer out."""
