"""Credentials in a store's address: kept out of everything that is printed, logged or stored."""

from __future__ import annotations

import re
from urllib.parse import unquote

MASK = "***"

# A shorter password would be found inside ordinary words; it is still masked before its "@".
_SHORTEST_SECRET = 4

# Addresses without a host (sqlite:///, file:///) go on with a slash and name nobody.
_USER = re.compile(r"(?<=://)(?!/)[^\s'\"<>]*@")
_QUERY = re.compile(
    r"([?&](?:password|passwd|pwd|token|secret|access_key|api_key)\w*=)[^&\s'\"]+", re.IGNORECASE
)


def mask(text: str, uri: str = "") -> str:
    """The text with user and password of every address in it replaced by ``***``.

    Args:
        text: An address, a message or a whole file.
        uri: An address whose password is masked wherever it stands alone, too.
    """
    for secret in _secrets(uri):
        text = text.replace(secret, MASK)
    text = _USER.sub(f"{MASK}@", text)
    return _QUERY.sub(rf"\g<1>{MASK}", text)


def _secrets(uri: str) -> list[str]:
    _, _, rest = uri.partition("://")
    user, at, _ = rest.rpartition("@")
    if not at or rest.startswith("/"):
        return []
    _, _, password = user.partition(":")
    found = {user, unquote(user), password, unquote(password)}
    return sorted((s for s in found if len(s) >= _SHORTEST_SECRET), key=len, reverse=True)
