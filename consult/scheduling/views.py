"""Every route of scheduling: booking and appointments; the link and the patient's visit."""

from __future__ import annotations

from consult.scheduling import booking_views, visit_views

# visit_views builds on the routes of join_views, and offers both.
routes = [*booking_views.routes, *visit_views.routes]
