"""Phrase in, frames out."""
