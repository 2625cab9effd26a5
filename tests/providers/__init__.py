"""Stand-ins on loopback for the providers of channels, written from their documentation."""
