"""Channels: how the conversations of each are served."""
