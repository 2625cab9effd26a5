"""What is tried against a desk on the open internet, and does not work."""
