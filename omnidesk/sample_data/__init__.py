"""Rows to try the desk with: a small demo, and bulk rows for trying a size."""
