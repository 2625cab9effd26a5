"""Comments on tickets, by staff for staff."""
