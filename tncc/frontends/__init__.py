"""Readers of other tools' model files."""
