"""Whose turn it is to answer a conversation: a bot's or people's."""

from sqlalchemy import Boolean
from sqlalchemy.orm import Mapped, mapped_column

from omnidesk.db import RuleViolation


class Turns:
    """The part of a conversation that knows who answers, and how often that has changed."""

    handled_by_bot: Mapped[bool] = mapped_column(
        Boolean(create_constraint=True, name="handled_by_bot")
    )
    turn: Mapped[int] = mapped_column(server_default="0")

    def hand_over(self, *, to_bot: bool) -> bool:
        """Let a bot answer, or people; return whether this was a change of hands."""
        if self.handled_by_bot == to_bot:
            return False
        self.handled_by_bot = to_bot
        self.turn += 1
        return True

    def require_turn(self, turn: int | None) -> None:
        """Raise RuleViolation unless a bot may answer, in this turn where it names one."""
        if not self.handled_by_bot:
            raise RuleViolation("sender", "People answer this conversation.", conflict=True)
        if turn is not None and turn != self.turn:
            raise RuleViolation("sender", f"It is turn {self.turn}.", conflict=True)
