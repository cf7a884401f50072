"""The one way in which long work reports how far it is and learns that it should stop."""

from collections.abc import Callable

# Called with (units done, units in all); returning True stops the work, which then raises CancelledError.
OnProgress = Callable[[int, int], bool | None]
