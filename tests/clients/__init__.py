"""Whether browsers and generated clients work with the API: `make test-clients`."""
