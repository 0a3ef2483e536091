"""What boards refuse.

ConsultError
└── TooManyBoards               boards.too_many          503
"""

from __future__ import annotations

from consult.domain.errors import ConsultError
from consult.domain.words import N_


class TooManyBoards(ConsultError):
    code = "boards.too_many"
    status = 503
    message = N_("Too many boards are open at once. This one is brought up to date once a minute.")
