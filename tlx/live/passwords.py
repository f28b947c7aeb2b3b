"""What of an address no message, file or title may show."""

from __future__ import annotations

import re

# Names of what a query string may hold that no log, file or title shall show.
SECRETS = r"[\w.-]*(?:pass|pwd|token|secret|key|auth|user|login|sig)[\w.-]*|usr"


def hide_password(text: str) -> str:
    """An address as messages may show it."""
    text = re.sub(r"(://[^/@:]*):[^/]*@", r"\1:…@", text)
    return re.sub(rf"([?&;](?:{SECRETS})=)[^&;#\s]*", r"\1…", text, flags=re.IGNORECASE)
