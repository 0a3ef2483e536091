-- Who an appointment was taken from and given to when it was moved; null where nobody else took it over.
alter table appointment_changes
  add column from_expert bigint references staff,
  add column to_expert bigint references staff,
  add check ((from_expert is null) = (to_expert is null));

-- An expert's taken time is looked up by its beginning: a plain index answers that sooner than the constraint's own.
create index busy_times_expert on busy_times (expert_id, (lower(blocked)));
create index busy_times_hold on busy_times (hold_id) where hold_id is not null;
