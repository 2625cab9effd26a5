"""Webhooks: other systems are told of changes, by signed requests."""
