-- What a clinic sends in years is looked through by how it fared: newest first, without reading the rest.
create index mails_state on mails ((
  case when bounced_at is not null then 'bounced' when sent_at is not null then 'sent'
       when dropped_at is not null then 'dropped' when failed_at is not null then 'failed' else 'waiting' end
), queued_at desc, id);
