"""Conversations with clients, and their messages."""
