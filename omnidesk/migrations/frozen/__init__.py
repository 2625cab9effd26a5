"""What several migrations share: frozen, as they are. A change goes into a new module beside them.

A migration must make the same schema for ever, so it imports nothing else of ours.
"""
