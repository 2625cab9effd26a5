"""Clients: the customers of the desk."""
