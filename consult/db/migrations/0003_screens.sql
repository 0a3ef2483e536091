-- A shared screen is recorded beside the sound and picture of the one who shows it, as a segment of its own.
alter table segments add column source text not null default 'camera' check (source in ('camera', 'screen'));
