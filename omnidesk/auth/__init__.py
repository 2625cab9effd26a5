"""Who is calling: logins and access tokens."""
