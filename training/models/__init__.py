"""Whole models, built from a recipe's `[model]` table."""
