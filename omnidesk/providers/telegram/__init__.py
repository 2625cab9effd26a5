"""Telegram: its Bot API."""
