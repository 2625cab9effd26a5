"""What is in the calendar."""
