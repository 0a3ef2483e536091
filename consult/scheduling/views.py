"""Every route of scheduling: the board, booking and appointments; the link and the patient's visit."""

from __future__ import annotations

from consult.scheduling import board_views, booking_views, visit_views

# visit_views builds on the routes of join_views, and offers both.
routes = [*board_views.routes, *booking_views.routes, *visit_views.routes]
