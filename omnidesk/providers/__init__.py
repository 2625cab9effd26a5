"""Providers: the makers of channels, what they are sent and what they tell."""
