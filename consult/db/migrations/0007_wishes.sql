-- What a patient whose appointment was cancelled wrote about another time, for the scheduler to read.
create table time_wishes (
  appointment_id uuid primary key references appointments,
  wish           text not null check (length(wish) between 1 and 1000),
  wished_at      timestamptz not null
);
create index holds_open on holds (appointment_id) where ended_at is null and appointment_id is not null;
