"""Losses over sequences and attention."""
