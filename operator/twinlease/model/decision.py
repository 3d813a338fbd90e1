"""What every decision returns, so that condition, Event, log line and metric all say the same."""

from msgspec import Struct


class Decision(Struct, frozen=True, kw_only=True):
    """One verdict.

    Attributes:
        action: What to do, from the closed set of the deciding function.
        reason: CamelCase, for the condition, the Event and the metric's label.
        message: One or two sentences for humans, with the numbers.
    """

    action: str
    reason: str
    message: str


class Problem(Struct, frozen=True, kw_only=True, order=True):
    """What is wrong with an object that a user wrote.

    Attributes:
        path: Field path in the object, like ``spec.ranges[1].end``.
        value: The offending value as the user wrote it.
        allowed: What would be accepted, as the rest of the sentence "must ...".
        missing: There is no such field at all, though there must be.
    """

    path: str
    value: str
    allowed: str
    missing: bool = False

    def __str__(self) -> str:
        """Return the sentence that conditions and commands show."""
        found = "it is missing, and" if self.missing else repr(self.value)
        return f"{self.path}: {found} must {self.allowed}"
