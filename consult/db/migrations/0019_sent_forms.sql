-- Which forms were sent, so that one that is sent again is answered as before and nothing is done twice.
-- digest: SHA-256 of what was sent, by whom and where to. leads_to: the page that its answer led to, null while it is
-- being worked on. A list of a day that nothing depends on after a crash, so it is not logged.
create unlogged table sent_forms (
  digest bytea primary key,
  sent_at timestamptz not null,
  leads_to text
);
create index on sent_forms (sent_at);
