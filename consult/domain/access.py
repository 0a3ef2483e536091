"""Who may do what, by role. Whether somebody may see one particular case is asked with `may_read_case`."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

from consult.domain.ids import StaffId


class StaffRole(StrEnum):
    SCHEDULER = "scheduler"
    EXPERT = "expert"
    ADMINISTRATOR = "administrator"


class Action(StrEnum):
    OPEN_CASE = "case:open"
    READ_EVERY_CASE = "case:read_every"
    SET_HOURS = "hours:set"
    BOOK = "appointment:book"
    CANCEL = "appointment:cancel"
    ISSUE_LINK = "appointment:issue_link"
    HOST_CALL = "call:host"
    READ_MESSAGES = "messages:read"


_ALLOWED: dict[StaffRole, frozenset[Action]] = {
    StaffRole.SCHEDULER: frozenset(Action) - {Action.HOST_CALL},
    StaffRole.EXPERT: frozenset({Action.HOST_CALL, Action.SET_HOURS}),
    StaffRole.ADMINISTRATOR: frozenset({Action.READ_MESSAGES}),
}


def may(role: StaffRole, action: Action) -> bool:
    return action in _ALLOWED[role]


def may_read_case(role: StaffRole, staff_id: StaffId, expert_ids: Collection[StaffId]) -> bool:
    """Whether a member of staff may read a case. expert_ids: who has an appointment in it, cancelled ones left out."""
    if may(role, Action.READ_EVERY_CASE):
        return True
    return role is StaffRole.EXPERT and staff_id in expert_ids


def may_set_hours(role: StaffRole, staff_id: StaffId, expert_id: StaffId) -> bool:
    """Whether somebody may enter an expert's working hours: schedulers anybody's, experts their own."""
    return role is StaffRole.SCHEDULER or (role is StaffRole.EXPERT and staff_id == expert_id)


def may_set_profile(role: StaffRole, staff_id: StaffId, expert_id: StaffId) -> bool:
    """Whether somebody may say what an expert reviews and speaks: schedulers anybody's, experts their own."""
    return may_set_hours(role, staff_id, expert_id)
