-- One file of a whole consultation, made from its segments at any time. Status follows from the instants.
create table compositions (
  consultation_id uuid primary key references consultations,
  queued_at   timestamptz not null,
  started_at  timestamptz,
  finished_at timestamptz,
  failed_at   timestamptz,
  tries       integer not null default 0,
  done_ms     bigint not null default 0,
  all_ms      bigint not null default 0,
  segments    integer not null default 0,   -- how many of the recording's segments are in it
  blob_key    text unique,
  size_bytes  bigint,
  duration_ms bigint,
  check ((blob_key is null) = (size_bytes is null)),
  check ((blob_key is null) = (duration_ms is null))
);
