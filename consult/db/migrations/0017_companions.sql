-- Whom the patient brought along; they alone may be taken back by the patient. Everybody else is the clinic's guest.
create table companions (
  appointment_id uuid not null references appointments,
  person_id      uuid not null,
  primary key (appointment_id, person_id)
);

-- Until now nobody wrote down who invited them, and the patient might take back all but physicians.
insert into companions (appointment_id, person_id)
select distinct appointment_id, person_id from invitations where role in ('interpreter', 'caregiver');

-- In which language a guest gets mails, once they have chosen one; until then it is the patient's.
alter table guest_addresses add column language text;
