"""Rows of another system that come to stay: each is stored once, however often it is sent."""
