-- An expert's time is read for one expert at a time, by plain equality: the constraints' own indexes do not answer that.
create index working_hours_expert on working_hours (expert_id);
create index day_hours_expert on day_hours (expert_id);
create index absences_of on absences (expert_id);
create index travels_expert on travels (expert_id);

-- Several changes can bear the same instant; this is the order in which they were made.
alter table appointment_changes add column number bigint generated always as identity unique;
