"""Whether every benchmark still runs, in small: `make test-bench`."""
