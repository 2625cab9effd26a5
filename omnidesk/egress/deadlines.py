"""The time that is left, for all that is done together."""

from time import monotonic


class Deadline:
    """A moment that comes in so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.moment = monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left, more than 0; raise TimeoutError if there are none."""
        left = self.moment - monotonic()
        if left <= 0:
            raise TimeoutError
        return left
