"""Who is calling: logins, sessions and tokens."""
