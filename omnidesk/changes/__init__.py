"""The change log over HTTP: all changes in the order of their commits, and each row's history."""
