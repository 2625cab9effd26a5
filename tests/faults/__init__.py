"""Whether the server recovers from faults of its database: `make test-faults`.

Each test breaks the database of a real gunicorn in one way, looks at what readers, writers and
`/readyz` are answered meanwhile, mends it, and looks again. They take seconds or minutes; what can
be seen in less is tested beside the rest.
"""
