"""Fakes and real neighbours for Parley's tests. Never in an image."""
