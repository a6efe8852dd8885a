"""Scores of a served model on a test split."""

from training.data.scores import BleuScore, score_labels, score_translations

__all__ = ["BleuScore", "score_labels", "score_translations"]
