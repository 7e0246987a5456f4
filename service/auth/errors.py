"""Why a session token does not sign anybody in. Messages are for the person who sent it and never hold the token."""


class SignInError(Exception):
    """A token could not be taken for a person; the message is one sentence."""


class TokenRefused(SignInError):
    """The token is wrong, and will be wrong again: another one is needed."""


class IdentityProviderUnavailable(SignInError):
    """The issuer does not say which keys it signs with, so nothing can be said about the token."""
