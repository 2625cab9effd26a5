"""Providers: how WhatsApp, Telegram and an operator's own program are spoken to."""
