"""Tickets and their tags."""
