"""Rate limits: how many requests, and how many failed logins, are accepted in a time."""

from omnidesk.http.rate_limits.policy import LoginAttempts, RateLimits

__all__ = ["LoginAttempts", "RateLimits"]
