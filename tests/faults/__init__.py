"""Whether the server recovers from faults of its database: `make test-faults`."""
