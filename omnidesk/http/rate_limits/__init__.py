"""Rate limits: how many requests, and how many failed logins, are accepted in a time."""

from omnidesk.http.rate_limits.policy import RateLimits, strangers_counted

__all__ = ["RateLimits", "strangers_counted"]
