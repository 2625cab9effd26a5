"""Rows of other systems, and whole desks, are brought in and out."""
