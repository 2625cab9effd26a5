"""Real faults, and real servers and databases in the hands of an operator: `make test-faults`.

Most tests break the database of a real gunicorn in one way, look at what readers, writers and
`/readyz` are answered meanwhile, mend it, and look again. Others start and stop servers, restore
backups, move desks, and make the text index anew. They take seconds or minutes; what can be seen in
less is tested beside the rest.
"""
