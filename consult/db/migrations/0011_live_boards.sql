-- Whoever changes what boards show tells them, in the same transaction: an open board asks again when it can read the
-- new state, not before. Statements that book, hold, move or cancel say so themselves; these say it for the rest.
-- PostgreSQL sends equal notices of one transaction once.

create function tell_boards() returns trigger language plpgsql as $$
begin
  notify schedule_changed;
  return null;
end
$$;

create trigger consultations_tell_boards after insert or update of started_at, ended_at on consultations
  for each statement execute function tell_boards();
create trigger records_tell_boards after insert or update of removed_at on records
  for each statement execute function tell_boards();
create trigger questions_tell_boards after insert or delete on questions
  for each statement execute function tell_boards();
create trigger visits_tell_boards after insert on visits
  for each statement execute function tell_boards();

create trigger working_hours_tell_boards after insert or update or delete on working_hours
  for each statement execute function tell_boards();
create trigger day_hours_tell_boards after insert or update or delete on day_hours
  for each statement execute function tell_boards();
create trigger absences_tell_boards after insert or update or delete on absences
  for each statement execute function tell_boards();
create trigger travels_tell_boards after insert or update or delete on travels
  for each statement execute function tell_boards();
create trigger expert_rules_tell_boards after insert or update or delete on expert_rules
  for each statement execute function tell_boards();

-- Of all that rooms tell, boards show who waits and who came.
create trigger room_events_tell_boards after insert on room_events
  for each row when (
    new.kind in ('RoomOpened', 'MemberWaiting', 'MemberAdmitted', 'MemberJoined', 'MemberLeft', 'RoomClosed')
  )
  execute function tell_boards();
