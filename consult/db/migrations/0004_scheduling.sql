-- Experts' time beyond the week, kinds of consultation, holds, panels, moves.

-- What an expert wants kept around calls. No row: the defaults of availability/model.py.
create table expert_rules (
  expert_id                  bigint primary key references staff,
  buffer_before_min          smallint not null check (buffer_before_min between 0 and 120),
  buffer_after_min           smallint not null check (buffer_after_min between 0 and 120),
  preparation_min            smallint not null check (preparation_min between 0 and 240),
  preparation_per_record_min smallint not null check (preparation_per_record_min between 0 and 60),
  preparation_most_min       smallint not null check (preparation_most_min between 0 and 480),
  notice_h                   smallint not null check (notice_h between 0 and 720),
  horizon_days               smallint not null check (horizon_days between 1 and 366),
  daily_limit                smallint check (daily_limit between 1 and 50),      -- null: none
  changes_until_h            smallint not null check (changes_until_h between 0 and 720),  -- by the patient, before the start
  check (preparation_most_min >= preparation_min)
);

-- How long a kind of consultation lasts with an expert. No rows of an expert: all kinds, with their usual lengths.
create table expert_kinds (
  expert_id  bigint not null references staff,
  kind       text not null check (kind in ('first_review', 'follow_up', 'panel')),
  length_min smallint not null check (length_min between 10 and 180),
  primary key (expert_id, kind)
);

-- On such a day these hours stand instead of the week's; a row without times: no hours that day.
create table day_hours (
  id        uuid primary key,
  expert_id bigint not null references staff,
  day       date not null,
  starts    time,                        -- local, in the zone where the expert is that day
  ends      time,
  check ((starts is null) = (ends is null)),
  check (ends > starts),
  exclude using gist (
    int8range(expert_id, expert_id, '[]') with &&,
    daterange(day, day, '[]') with &&,
    int4range(coalesce(extract(epoch from starts)::integer, 0),
              coalesce(extract(epoch from ends)::integer, 86400)) with &&
  )
);

create table absences (
  id         uuid primary key,
  expert_id  bigint not null references staff,
  during     tstzrange not null check (not isempty(during) and lower_inc(during) and not upper_inc(during)),
  note       text not null default '' check (length(note) <= 200),
  entered_at timestamptz not null
);
create index absences_expert on absences using gist (int8range(expert_id, expert_id, '[]'), during);

-- On these days the expert's hours are local times of another zone.
create table travels (
  id        uuid primary key,
  expert_id bigint not null references staff,
  days      daterange not null check (not isempty(days)),
  time_zone text not null,
  exclude using gist (int8range(expert_id, expert_id, '[]') with &&, days with &&)
);

alter table appointments
  add column kind text not null default 'first_review' check (kind in ('first_review', 'follow_up', 'panel')),
  add column sequence integer not null default 0 check (sequence >= 0),  -- of its calendar entry (RFC 5545 §3.8.7.4)
  add column cancelled_by text check (cancelled_by in ('staff', 'patient')),
  add column cancel_reason text not null default '' check (length(cancel_reason) <= 500),
  add column needs text[] not null default '{}' check (needs <@ array['interpreter', 'caregiver', 'captions']),
  add column needs_note text not null default '' check (length(needs_note) <= 500),
  add unique (id, during);

-- The experts of a panel besides its lead, who is appointments.expert_id.
create table panel_experts (
  appointment_id uuid not null references appointments,
  expert_id      bigint not null references staff,
  primary key (appointment_id, expert_id)
);
create index panel_experts_expert on panel_experts (expert_id);

-- A time that is kept while somebody decides. It ends when it is taken, given back, or at expires_at.
create table holds (
  id             uuid primary key,
  case_id        bigint not null references cases,
  appointment_id uuid references appointments,       -- the one that would be moved; null: a new one
  kind           text not null check (kind in ('first_review', 'follow_up', 'panel')),
  during         tstzrange not null check (not isempty(during) and lower_inc(during) and not upper_inc(during)),
  held_at        timestamptz not null,
  expires_at     timestamptz not null check (expires_at > held_at),
  ended_at       timestamptz,                        -- taken or given back
  unique (id, during)
);
create index holds_expiring on holds (expires_at) where ended_at is null;

-- An expert's time that is taken, by an appointment or a hold. Rows go when it is free again.
-- blocked: with preparation and buffers. Nothing overlaps it, whoever books and however.
create table busy_times (
  id             uuid primary key,
  expert_id      bigint not null references staff,
  during         tstzrange not null,
  blocked        tstzrange not null check (blocked @> during),
  appointment_id uuid,
  hold_id        uuid,
  check (num_nonnulls(appointment_id, hold_id) = 1),
  foreign key (appointment_id, during) references appointments (id, during),
  foreign key (hold_id, during) references holds (id, during),
  unique (appointment_id, expert_id),
  unique (hold_id, expert_id),
  constraint busy_times_never_overlap exclude using gist (
    int8range(expert_id, expert_id, '[]') with &&, blocked with &&
  )
);
create index busy_times_blocked on busy_times using gist (blocked);

insert into busy_times (id, expert_id, during, blocked, appointment_id)
select gen_random_uuid(), expert_id, during, during, id from appointments where cancelled_at is null;

alter table appointments drop constraint appointments_never_overlap;

-- What became of an appointment, for whoever asks later. by_staff: null if the patient did it.
create table appointment_changes (
  id             uuid primary key,
  appointment_id uuid not null references appointments,
  change         text not null check (change in ('booked', 'moved', 'cancelled', 'needs')),
  changed_at     timestamptz not null,
  by_staff       bigint references staff,
  from_during    tstzrange,
  to_during      tstzrange,
  reason         text not null default ''
);
create index appointment_changes_appointment on appointment_changes (appointment_id, changed_at);
