"""What OmniDesk is measured by: `make bench` runs all of it and writes docs/benchmarks.md."""
