"""What a check of the doctor's finds."""

from typing import NamedTuple

WARNING, FAULT = "warning", "fault"


class Finding(NamedTuple):
    """Something that is wrong, and its cure, each a sentence or two."""

    check: str
    level: str
    problem: str
    cure: str

    def __str__(self) -> str:
        """Return it in one line."""
        return f"{self.level:7} {self.check}: {self.problem} {self.cure}"
