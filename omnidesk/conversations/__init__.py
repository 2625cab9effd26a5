"""What clients and staff say to each other."""
