-- What a booking reads under its locks, in one round trip. In a statement everything is read as it was when the statement
-- began, before it waited for a lock; each statement within a function sees what has been written by then.

-- All that decides when an expert can be booked, besides what is booked. JSON: {"rules": [minutes before, after, to
-- prepare, per record, at most; hours of notice; days of horizon; daily limit; hours until changes] or null,
-- "week": [[weekday, first second, last second of the day], …], "kinds": [[kind, minutes], …],
-- "day_hours": [[days since 1970, first second, last second], …], 0 to 0: a day without hours,
-- "absences": [[from, to], …] in microseconds since 1970, "travels": [[first day, last day, zone], …]}
create function timetable_of(of_expert bigint) returns text language plpgsql stable as $$
begin
  return (
    select json_build_object(
      'rules', (
        select array[buffer_before_min, buffer_after_min, preparation_min, preparation_per_record_min,
                     preparation_most_min, notice_h, horizon_days, daily_limit, changes_until_h]
        from expert_rules where expert_id = of_expert),
      'week', array(
        select array[weekday, extract(epoch from starts)::integer, extract(epoch from ends)::integer]
        from working_hours where expert_id = of_expert order by weekday, starts),
      'kinds', array(
        select array[kind, length_min::text] from expert_kinds where expert_id = of_expert order by kind),
      'day_hours', array(
        select array[day - date '1970-01-01', coalesce(extract(epoch from starts)::integer, 0),
                     coalesce(extract(epoch from ends)::integer, 0)]
        from day_hours where expert_id = of_expert order by day, starts),
      'absences', array(
        select array[(extract(epoch from lower(during)) * 1000000)::bigint,
                     (extract(epoch from upper(during)) * 1000000)::bigint]
        from absences where expert_id = of_expert order by during),
      'travels', array(
        select array[lower(days)::text, (upper(days) - 1)::text, time_zone]
        from travels where expert_id = of_expert order by days)
    )::text);
end
$$;

-- What is taken of an expert's time, of an appointment and a hold apart from which it is asked nothing: {start, end, start
-- and end of what is blocked, when the hold expires or null} each, in seconds since 1970; null if nothing is. Holds that
-- expired are there too. (select …) hides from the planner when it is: it would plan anew each time.
create function taken_of(of_expert bigint, read_from timestamptz, read_to timestamptz, own uuid, own_hold uuid)
returns double precision[] language plpgsql stable as $$
begin
  return (
    select array_agg(array[date_part('epoch', lower(b.during)), date_part('epoch', upper(b.during)),
                           date_part('epoch', lower(b.blocked)), date_part('epoch', upper(b.blocked)),
                           date_part('epoch', h.expires_at)])
    from busy_times b
    left join holds h on h.id = b.hold_id
    where b.expert_id = of_expert and lower(b.blocked) > (select read_from - interval '1 day')
      and lower(b.blocked) < (select read_to) and upper(b.blocked) > (select read_from)
      and not coalesce(b.appointment_id = own, false) and not coalesce(b.hold_id = own_hold, false));
end
$$;

-- Locks who is in to_lock, ordered by id, until the transaction ends (null: who is wanted), and returns a row for each expert
-- who is wanted for a case from starts_at to ends_at, with their time and what is taken of it on that day. If one of them is
-- not there or is taken, nobody is locked, and nothing is said of their time: who is refused waits for nobody.
create function claim_experts(
  to_lock bigint[], for_case bigint, wanted bigint[], starts_at timestamptz, ends_at timestamptz, asked_at timestamptz,
  own uuid, own_hold uuid
)
returns table (
  expert_id bigint, time_zone text, patient_id uuid, record_count bigint, is_taken boolean, room_capacity integer,
  timetable text, taken double precision[]
)
language plpgsql as $$
declare
  longest_day constant interval := '27 hours';  -- where the clock goes back by three hours; by two it has in our time
  one record;
begin
  for one in
    with party as materialized (
      select e.id, e.time_zone, c.patient_id,
             (select count(*) from records r where r.case_id = c.id and r.removed_at is null) as record_count,
             exists (
               select from busy_times b left join holds h on h.id = b.hold_id
               where b.expert_id = e.id and lower(b.blocked) > (select claim_experts.starts_at - interval '1 day')
                 and lower(b.blocked) < (select claim_experts.ends_at)
                 and b.during && tstzrange(claim_experts.starts_at, claim_experts.ends_at)
                 and (h.id is null or h.expires_at > asked_at)
                 and not coalesce(b.appointment_id = own, false) and not coalesce(b.hold_id = own_hold, false)
             ) as is_taken
      from cases c
      join staff e on e.id = any((select wanted)::bigint[])
      where c.id = for_case and e.role = 'expert' and e.disabled_at is null
    ), locked as materialized (
      -- An array gives its members in their order. 20743 is the class of the locks that order the bookings of an expert.
      select pg_advisory_xact_lock(20743, (member % 2147483647)::integer)
      from unnest((select coalesce(to_lock, wanted))) as member
      where (select count(*) from party where not party.is_taken) = cardinality(wanted)
    )
    -- Counting makes sure that all are locked: whoever asks for one row alone is given one lock.
    select party.*, (select count(*) from locked) > 0 as is_locked from party
  loop
    expert_id := one.id;
    time_zone := one.time_zone;
    patient_id := one.patient_id;
    record_count := one.record_count;
    is_taken := one.is_taken;
    room_capacity := nullif(current_setting('consult.room_capacity', true), '')::integer;
    timetable := null;
    taken := null;
    if one.is_locked then
      timetable := timetable_of(one.id);
      taken := taken_of(one.id, starts_at - longest_day, ends_at + longest_day, own, own_hold);
    end if;
    return next;
  end loop;
end
$$;
