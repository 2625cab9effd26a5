"""A program of the operator's own, which is sent messages and sends updates."""
