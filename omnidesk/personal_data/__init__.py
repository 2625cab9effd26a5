"""All that is stored of a client: exported, and erased."""
