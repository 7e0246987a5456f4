"""What can be wrong with an event that says it is Stripe's."""


class StripeError(Exception):
    """An event is not taken; the message is for the log, and holds nothing of the event."""


class ForgedEvent(StripeError):
    """It is not signed, not with a secret of ours, or too long ago."""


class UnreadableEvent(StripeError):
    """It is signed, but not in the form that Stripe documents."""
