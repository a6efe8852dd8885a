"""Scores of the recipes' models: evaluations through a server, published results beside them, one page of tables."""
