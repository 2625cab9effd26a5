"""Events of the calendar."""
