"""Backups are made, listed and restored."""
