"""Hooks: the routes where providers send what happens on their channels."""
