-- What holds gave back, who asks to wait by themselves, and where guests get their mails.

-- An expert's time that a hold kept and keeps no more, until the wait list has taken note of it.
create table freed_times (
  id        bigint generated always as identity primary key,
  expert_id bigint not null references staff,
  during    tstzrange not null
);

-- By the link of an appointment that was cancelled; added_by is then who had booked that one.
alter table wait_entries add column asked_by_patient boolean not null default false;

-- The days and times may say it all.
alter table time_wishes drop constraint time_wishes_wish_check;
alter table time_wishes add constraint time_wishes_wish_check check (length(wish) <= 1000);

-- Who had a message sent again.
alter table mails add column again_by bigint references staff;

-- A guest may have an address; it stays theirs when an appointment moves and links are new, and goes when they do.
create table guest_addresses (
  appointment_id uuid not null references appointments,
  person_id      uuid not null,
  email          text not null check (position('@' in email) > 1 and length(email) <= 254),
  primary key (appointment_id, person_id)
);
