"""What the rest of the application may ask of consultations.

Seats are decided in `seats.py`, a room's events become facts in `ledger.py`, a recording's file is filed in
`filing.py`.
"""

from __future__ import annotations

from consult.consultations.seats import (
    device_of,
    issue_seat_for_staff,
    issue_seat_for_visit,
)

__all__ = ["device_of", "issue_seat_for_staff", "issue_seat_for_visit"]
