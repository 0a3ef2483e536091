-- Everything that is sent: mails with their fate, reminders that go out once, text messages, calendars by address.

-- What tells somebody of an appointment, by mail or through a gateway for text messages (channel).
alter table mails drop constraint mails_kind_check;
alter table mails
  add constraint mails_kind_check check (kind in ('invitation', 'new_link', 'change', 'cancellation', 'reminder_day',
    'reminder_hour', 'records_missing', 'offer')),
  add column channel text not null default 'mail' check (channel in ('mail', 'webhook')),
  add column audience text not null default 'patient' check (audience in ('patient', 'expert', 'guest')),
  add column person text not null default '' check (length(person) <= 60),  -- whom: the id of a patient, guest or expert
  add column offer_id uuid,
  add column about_at timestamptz,       -- what a reminder is due for: the start, or the day of asking for records
  add column sequence integer,           -- of the calendar entry that went out with it
  add column invitation_id uuid references invitations,  -- whose link is in it
  add column again_of uuid references mails,
  add column tries integer not null default 0,
  add column bounced_at timestamptz,     -- refused for good, at once or by a report that came later
  add column bounce_status text not null default '' check (length(bounce_status) <= 20),
  add column dropped_at timestamptz,     -- not needed any more when its turn came
  add constraint mails_about_something check (num_nonnulls(appointment_id, offer_id) >= 1);

create index mails_appointment on mails (appointment_id, queued_at);
create index mails_queued on mails (queued_at desc, id);
create index mails_invitation on mails (invitation_id) where invitation_id is not null;

-- However many workers look for what is due, each reminder goes to each person once.
create unique index mails_due_once on mails (appointment_id, kind, channel, audience, person, about_at)
  where about_at is not null and again_of is null;

alter table patients add column phone text not null default '' check (phone = '' or phone ~ '^\+[0-9]{6,15}$');

-- An expert's appointments at an address that calendar programs ask by themselves. The secret is here as SHA-256 alone.
create table calendar_feeds (
  id          uuid primary key,
  staff_id    bigint not null references staff,
  secret_hash bytea not null unique check (length(secret_hash) = 32),
  made_at     timestamptz not null,
  revoked_at  timestamptz
);
create unique index calendar_feeds_one_each on calendar_feeds (staff_id) where revoked_at is null;
