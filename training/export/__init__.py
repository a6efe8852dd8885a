"""From a trained model to a bundle: graphs built from the weights, checked against PyTorch, then written."""
