-- A mail is handed over outside of every transaction, so that a mail server that takes long keeps nobody waiting.

alter table mails add column begun_at timestamptz;  -- it is being handed over since then; null: it is not
