"""E-mail addresses as people type them: which of them mail can be sent to."""

from __future__ import annotations

import unicodedata

MAX_EMAIL_CHARS = 254
MAX_NAME_BYTES, MAX_LABEL_CHARS = 64, 63
# To mail programs these mean more than themselves: another address, a group, a comment, an encoded word.
MEANS_MORE = (" ", ",", ";", ":", "<", ">", "(", ")", "[", "]", '"', "\\", "=?")


def looks_like_email(text: str) -> bool:
    """Whether a text is one plain address at a domain that can receive mail from elsewhere: not ana, ana@clinic."""
    name, _at, place = text.rpartition("@")
    plain = text.isprintable() and not any(mark in text for mark in MEANS_MORE) and len(text) <= MAX_EMAIL_CHARS
    return plain and 0 < len(name.encode()) <= MAX_NAME_BYTES and "@" not in name and _is_domain(place)


def _is_domain(text: str) -> bool:
    *before, last = text.split(".")
    is_number = last.isdigit()  # 192.0.2.1
    return bool(before) and all(map(_is_label, (*before, last))) and len(last) > 1 and not is_number


def _is_label(text: str) -> bool:
    """Of any script: ours are not the only letters that domains have."""
    letters = all(letter == "-" or unicodedata.category(letter)[0] in "LMN" for letter in text)
    return letters and 0 < len(text) <= MAX_LABEL_CHARS and not text.startswith("-") and not text.endswith("-")
