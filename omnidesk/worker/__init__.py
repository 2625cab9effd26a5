"""The worker: sends what is queued, to clients and to other systems."""
