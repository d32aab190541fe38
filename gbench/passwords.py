"""What may be shown of a URL that holds a password."""

from __future__ import annotations

import re


def without_password(text: str) -> str:
    """Three stars in the place of each password in a URL."""
    return re.sub(r"(://[^:/@\s]*:)[^\s/]*@", r"\1***@", text)
