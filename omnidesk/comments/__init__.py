"""What staff notes on tickets, for each other."""
