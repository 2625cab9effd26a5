"""Inbound messages: what clients write on channels, stored once in the right conversation."""
