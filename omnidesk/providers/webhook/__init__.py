"""A program of the operator's, which speaks Standard Webhooks."""
