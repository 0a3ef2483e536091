-- People, cases, records, scheduling, consultations, transcripts. Status is derived from facts: *_at columns.

create table staff (
  id            bigint generated always as identity primary key,
  email         text not null check (email = lower(email) and position('@' in email) > 1),
  name          text not null check (name <> ''),
  role          text not null check (role in ('scheduler', 'expert', 'administrator')),
  specialty     text not null default '',
  time_zone     text not null,
  language      text not null default 'en',
  password_hash text not null,
  created_at    timestamptz not null,
  disabled_at   timestamptz
);
create unique index staff_email on staff (email);

create table staff_sessions (
  token_hash bytea primary key check (length(token_hash) = 32),
  staff_id   bigint not null references staff,
  created_at timestamptz not null,
  seen_at    timestamptz not null,
  ended_at   timestamptz
);
create index staff_sessions_staff on staff_sessions (staff_id);

create table patients (
  id         uuid primary key,
  name       text not null check (name <> ''),
  email      text not null default '' check (email = '' or position('@' in email) > 1),
  born_on    date,
  language   text not null default 'en',
  time_zone  text,                       -- learnt from the browser; null until then
  created_at timestamptz not null
);

create table cases (
  id         bigint generated always as identity primary key,
  patient_id uuid not null references patients,
  diagnosis  text not null check (diagnosis <> ''),
  plan       text not null default '',
  history    text not null default '',
  referring_physician text not null default '',
  opened_by  bigint not null references staff,
  opened_at  timestamptz not null,
  closed_at  timestamptz
);

create table questions (
  id       uuid primary key,
  case_id  bigint not null references cases,
  position integer not null check (position > 0),
  text     text not null check (text <> '' and length(text) <= 2000),
  asked_by text not null check (asked_by in ('patient', 'staff')),
  asked_at timestamptz not null,
  unique (case_id, position)
);

create table records (
  id          uuid primary key,
  case_id     bigint not null references cases,
  title       text not null check (title <> ''),
  media_type  text not null check (media_type in ('application/pdf', 'image/png', 'image/jpeg', 'image/webp')),
  size_bytes  bigint not null check (size_bytes > 0),
  sha256      bytea not null check (length(sha256) = 32),
  page_count  integer not null check (page_count > 0),
  width_px    integer,                   -- of the picture, or of a PDF's first page in points
  height_px   integer,
  blob_key    text not null unique,
  uploaded_by text not null check (uploaded_by in ('patient', 'staff')),
  uploaded_at timestamptz not null,
  removed_at  timestamptz
);
create index records_case on records (case_id);

create table working_hours (
  id        uuid primary key,
  expert_id bigint not null references staff,
  weekday   smallint not null check (weekday between 0 and 6),   -- Monday is 0
  starts    time not null,               -- local, in the expert's zone
  ends      time not null check (ends > starts),
  exclude using gist (
    int8range(expert_id, expert_id, '[]') with &&,
    int4range(weekday::integer, weekday::integer, '[]') with &&,
    int4range(extract(epoch from starts)::integer, extract(epoch from ends)::integer) with &&
  )
);

create table appointments (
  id           uuid primary key,
  number       bigint generated always as identity unique,       -- what a person types beside the short code
  case_id      bigint not null references cases,
  expert_id    bigint not null references staff,
  during       tstzrange not null check (not isempty(during) and lower_inc(during) and not upper_inc(during)),
  booked_by    bigint not null references staff,
  booked_at    timestamptz not null,
  cancelled_at timestamptz,
  constraint appointments_never_overlap exclude using gist (
    int8range(expert_id, expert_id, '[]') with &&, during with &&
  ) where (cancelled_at is null)
);
create index appointments_case on appointments (case_id);
create index appointments_during on appointments using gist (during);

-- A person's link to one appointment. The secret and the short code are only here as SHA-256.
create table invitations (
  id             uuid primary key,
  appointment_id uuid not null references appointments,
  person_id      uuid not null,          -- the same for every link of one person to one appointment
  role           text not null check (role in ('patient', 'physician', 'interpreter', 'caregiver')),
  name           text not null check (name <> ''),
  secret_hash    bytea not null unique check (length(secret_hash) = 32),
  code_hash      bytea not null check (length(code_hash) = 32),
  code_tries     integer not null default 0,
  issued_at      timestamptz not null,
  revoked_at     timestamptz
);
create index invitations_appointment on invitations (appointment_id);

-- An opened invitation on one device; its token is the device's cookie.
create table visits (
  id            uuid primary key,
  invitation_id uuid not null references invitations,
  token_hash    bytea not null unique check (length(token_hash) = 32),
  opened_at     timestamptz not null,
  ended_at      timestamptz
);
create index visits_invitation on visits (invitation_id);

create table consultations (
  id             uuid primary key,
  appointment_id uuid not null unique references appointments,
  started_at     timestamptz not null,
  ended_at       timestamptz,
  end_reason     text
);

-- Everything rooms told us, once per event: the Timeline.
create table room_events (
  event_id       uuid primary key,
  appointment_id uuid not null references appointments,
  kind           text not null,
  at_ms          bigint not null,
  happened_at    timestamptz not null,
  payload        jsonb not null
);
create index room_events_appointment on room_events (appointment_id, at_ms);

-- Who holds a seat, per device: what a reload or a restarted server must remember.
create table seats (
  appointment_id uuid not null references appointments,
  member_id      text not null,
  person_id      text not null,
  name           text not null,
  role           text not null,
  admitted_at    timestamptz,
  removed_at     timestamptz,
  primary key (appointment_id, member_id)
);

create table consents (
  event_id       uuid primary key,
  appointment_id uuid not null references appointments,
  person_id      text not null,
  member_id      text not null,
  wording        text not null,
  given          boolean not null,
  at_ms          bigint not null,
  answered_at    timestamptz not null
);
create index consents_appointment on consents (appointment_id, person_id, answered_at);

create table attendances (
  event_id       uuid primary key,       -- of the MemberJoined that opened it
  appointment_id uuid not null references appointments,
  member_id      text not null,
  person_id      text not null,
  name           text not null,
  role           text not null,
  joined_ms      bigint not null,
  left_ms        bigint,
  left_reason    text
);
create index attendances_appointment on attendances (appointment_id, joined_ms);

create table segments (
  id              uuid primary key,
  consultation_id uuid not null references consultations,
  member_id       text not null,
  person_id       text not null,
  name            text not null,
  role            text not null,
  offset_ms       bigint not null,
  duration_ms     bigint not null check (duration_ms >= 0),
  has_audio       boolean not null,
  has_video       boolean not null,
  media_type      text not null,
  size_bytes      bigint not null,
  blob_key        text not null unique,
  filed_at        timestamptz not null
);
create index segments_consultation on segments (consultation_id, offset_ms);

create table transcripts (
  segment_id  uuid primary key references segments,
  language    text not null,
  engine      text not null,
  queued_at   timestamptz not null,
  started_at  timestamptz,
  done_ms     bigint not null default 0,
  finished_at timestamptz,
  failed_at   timestamptz,
  failure     text,
  tries       integer not null default 0
);

create table turns (
  id         uuid primary key,
  segment_id uuid not null references segments,
  start_ms   bigint not null,            -- on the consultation's clock
  end_ms     bigint not null check (end_ms >= start_ms),
  text       text not null,
  words      jsonb not null              -- [{"text", "start_ms", "end_ms", "confidence"}]
);
create index turns_segment on turns (segment_id, start_ms);

-- What was sent to whom and when. The text is in the mail spool alone: a link's secret is never in the database.
create table mails (
  id             uuid primary key,
  appointment_id uuid references appointments,
  kind           text not null check (kind in ('invitation', 'new_link', 'cancellation')),
  recipient      text not null,
  queued_at      timestamptz not null,
  sent_at        timestamptz,
  failed_at      timestamptz,
  failure        text
);
