"""Every route of cases."""

from __future__ import annotations

from consult.cases import page_views, upload_views

routes = [*page_views.routes, *upload_views.routes]
