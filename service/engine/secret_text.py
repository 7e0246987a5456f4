"""What looks like a secret: by what it is called, or by its own form."""

import functools
import re

_SECRET_HEADERS = frozenset({"authorization", "proxyauthorization", "cookie", "setcookie"})
_SECRET_NAME = re.compile(
    r"password|passwd|passphrase|secret|token|api-?key|access-?key|private-?key|credential|authori[sz]ation|bearer"
    r"|signature|\bsig\b",
    re.IGNORECASE,
)
# Counts of tokens, and what is about paging, are none.
_HARMLESS_NAME = re.compile(
    r"(max|min|num|total|prompt|completion|count|next|page).*tokens?$|^tokens$", re.IGNORECASE
)
_SECRET_EXACTLY = frozenset({"auth", "xauth", "xauthkey", "pwd", "sid", "appid", "sessionid", "otp", "pin"})
_DROPPED = frozenset({"credential", "credentials", "hmac", "webhookurl"})
# Keys that are known by their form: of OpenAI and Anthropic, Slack, GitHub, GitLab, AWS, Google, Stripe, ourselves.
_KEY_FORMS = re.compile(
    r"\b(?:sk-[\w-]{16,200}|xox[abeoprs]-[\w-]{10,200}|xapp-[\w-]{10,200}|gh[opsru]_\w{20,200}|github_pat_\w{20,200}"
    r"|glpat-[\w-]{16,200}|AKIA[0-9A-Z]{16}|AIza[\w-]{35}|[rs]k_(?:live|test)_\w{16,200}|whsec_[\w+/=]{16,200}"
    r"|dsk_[\w-]{32,200})"
    r"|(?<=\bBearer )(?!\{\{)[\w.~+/=-]{8,4000}"
)


def is_secret_name(name: str) -> bool:
    """Return whether what is called so is, by its name, a secret or leads to one."""
    return _is_secret_name(name[:200])


@functools.lru_cache(maxsize=4096)
def _is_secret_name(name: str) -> bool:
    plain = re.sub(r"[_\-\s]", "", name).lower()
    if plain in _DROPPED or plain in _SECRET_HEADERS or plain in _SECRET_EXACTLY:
        return True
    return bool(_SECRET_NAME.search(plain)) and not _HARMLESS_NAME.search(plain)


def replace_keys(text: str, by: str) -> str:
    """Return a text with something else in the place of keys that are known by their form."""
    return _KEY_FORMS.sub(by, text)
