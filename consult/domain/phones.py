"""Phone numbers in the one form that gateways for text messages take (E.164): +351912345678."""

from __future__ import annotations

LEAST_DIGITS, MOST_DIGITS = 6, 15


def clean_phone(typed: str) -> str | None:
    """Return a phone number as +351912345678, "" if nothing was typed, None if it cannot be one."""
    number = "".join(letter for letter in typed if letter not in " \t\u00a0()-./")
    if not number:
        return ""
    number = f"+{number[2:]}" if number.startswith("00") else number
    digits = number.removeprefix("+")
    fits = (
        number.startswith("+") and digits.isascii() and digits.isdigit() and LEAST_DIGITS <= len(digits) <= MOST_DIGITS
    )
    return number if fits else None
