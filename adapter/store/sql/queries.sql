-- Every statement the program runs, by name. `-- name:` opens one; the next line says its purpose.
--
-- Some conditions are spelled for the planner, whose statistics do not know a line that grew in the
-- last minutes. `(state = 'pending') IS TRUE` is served by the line's own indexes and by no other
-- (schema.sql). Any other `(...) IS TRUE`, and `IS NOT DISTINCT FROM`, is looked at in the rows
-- that were found by something else.

-- name: hash_key
-- The key of this installation's hashes.
SELECT hash_key FROM installation

-- name: insert_events
-- Claims the digests and stores the events with their tasks; a place is missing whose digest was
-- claimed before. ROWS are made for as many as there are. The workers are woken afterwards.
WITH new (place, source, digest, content, received_at, content_type, headers, query, body) AS (
    VALUES (ROWS)
), numbered AS MATERIALIZED (
    SELECT nextval('lead_ids') AS id, new.* FROM new
), claim AS (
    INSERT INTO claims (source, digest, content, lead_id, claimed_at)
    SELECT source, digest, content, id, received_at FROM numbered
    -- Two processes that claim the same digests do it in one order, or each waits for the other.
    ORDER BY source, digest
    ON CONFLICT ON CONSTRAINT claims_once DO NOTHING
    RETURNING lead_id
), event AS (
    INSERT INTO events (id, source, received_at, content_type, headers, query, body)
    SELECT id, source, received_at, content_type, headers, query, body
    FROM numbered JOIN claim ON lead_id = id
    RETURNING id, received_at
), noted AS (
    INSERT INTO history (event_id, at, to_state, why, by)
    SELECT id, received_at, 'received', 'webhook_verified', 'web' FROM event
), task AS (
    INSERT INTO procrastinate_jobs (queue_name, task_name, priority, queueing_lock, args)
    SELECT 'default', 'map_event', 10, 'map_event:' || id, jsonb_build_object('row_id', id)
    FROM event
)
SELECT place, id FROM numbered JOIN event USING (id)

-- name: enqueue_task
-- Puts a task, unless its row has one that waits.
SELECT enqueue_task(%(task)s, %(row_id)s, %(priority)s, %(lock)s, %(at)s)

-- name: notify_workers
-- Lets the workers look for tasks now.
SELECT notify_workers()

-- name: record_duplicate
-- Counts one more delivery of a claimed digest; says which event came first, and if it is the same.
UPDATE claims SET repeats = repeats + 1, repeated_at = %(at)s
WHERE source = %(source)s AND digest = %(digest)s
RETURNING lead_id, content IS NOT DISTINCT FROM %(content)s AS is_same

-- name: claim_item
-- Claims one item of an event for a booking; no row comes back when it was claimed before.
INSERT INTO claims (source, digest, lead_id, claimed_at)
VALUES (%(source)s, %(digest)s, %(booking_id)s, %(at)s)
ON CONFLICT ON CONSTRAINT claims_once DO NOTHING
RETURNING lead_id

-- name: reassign_claim
-- Lets a claim point to the booking that took the first one's place.
UPDATE claims SET lead_id = %(booking_id)s WHERE source = %(source)s AND digest = %(digest)s

-- name: reassign_claims
-- Lets all claims of one booking point to another one.
UPDATE claims SET lead_id = %(to_id)s WHERE lead_id = %(from_id)s

-- name: next_id
-- The next number for an event or a booking.
SELECT nextval('lead_ids') AS id

-- name: event
-- One event.
SELECT * FROM events WHERE id = %(id)s

-- name: listen
-- Hears of events that are settled.
LISTEN settled

-- name: state_of_event
-- How far one event has come, without its body.
SELECT state, reasons FROM events WHERE id = %(id)s

-- name: lock_event
-- One event, locked until the transaction ends.
SELECT * FROM events WHERE id = %(id)s FOR UPDATE

-- name: settle_event
-- Says what became of an event that was still received, and tells whoever waits for it.
WITH moved AS (
    UPDATE events
    SET state = %(state)s, mapping_hash = %(mapping_hash)s, reasons = %(reasons)s
    WHERE id = %(id)s AND state = 'received'
    RETURNING id
)
INSERT INTO history (event_id, at, from_state, to_state, why, by)
SELECT id, %(at)s, 'received', %(state)s, %(why)s, %(by)s FROM moved
RETURNING event_id, pg_notify('settled', event_id::text)

-- name: insert_booking
-- One appointment or guest card to be made.
WITH booking AS (
    INSERT INTO bookings (
        id, event_id, item, source, kind, state, community, timezone, starts_at, appointment, reasons,
        due_at, created_at, updated_at, reason, asked_at, person_keys)
    VALUES (
        %(id)s, %(event_id)s, %(item)s, %(source)s, %(kind)s, %(state)s, %(community)s,
        %(timezone)s, %(starts_at)s, %(appointment)s, %(reasons)s, %(due_at)s, %(at)s, %(at)s, %(reason)s,
        %(asked_at)s, %(person_keys)s)
    RETURNING id, event_id, state, source
), turn AS (
    INSERT INTO source_turns (source) SELECT source FROM booking ON CONFLICT DO NOTHING
)
INSERT INTO history (event_id, booking_id, at, to_state, why, by)
SELECT event_id, id, %(at)s, state, %(why)s, %(by)s FROM booking

-- name: booking
-- One booking.
SELECT * FROM bookings WHERE id = %(id)s

-- name: lock_booking
-- One booking, locked until the transaction ends.
SELECT * FROM bookings WHERE id = %(id)s FOR UPDATE

-- name: booking_of_job
-- The booking of one of Propexo's jobs, locked until the transaction ends.
SELECT * FROM bookings WHERE job_id = %(job_id)s ORDER BY id LIMIT 1 FOR UPDATE

-- name: move_booking
-- Changes a booking's state and writes the change down; no row comes back when it was elsewhere.
-- A settled one is told to whoever waits for its event.
WITH before AS (
    SELECT id, event_id, state FROM bookings
    WHERE id = %(id)s AND state = ANY(%(from_states)s) FOR UPDATE
), moved AS (
    UPDATE bookings SET
        state = %(to_state)s, reason = %(why)s, due_at = %(due_at)s, updated_at = %(at)s,
        job_id = COALESCE(%(job_id)s, job_id), reasons = reasons || %(reasons)s
    FROM before WHERE bookings.id = before.id
)
INSERT INTO history (event_id, booking_id, at, from_state, to_state, why, by)
SELECT event_id, id, %(at)s, state, %(to_state)s, %(why)s, %(by)s FROM before
RETURNING booking_id, CASE WHEN %(is_settled)s THEN pg_notify('settled', event_id::text) END

-- name: note_cancellation
-- The sender called a booking off that may be on the wire: it is not sent again.
UPDATE bookings SET canceled_at = %(at)s WHERE id = %(id)s

-- name: edit_booking
-- What a person made of a booking.
UPDATE bookings SET
    kind = %(kind)s, appointment = %(appointment)s, community = %(community)s, timezone = %(timezone)s,
    starts_at = %(starts_at)s, person_keys = %(person_keys)s, asked_at = %(asked_at)s
WHERE id = %(id)s

-- name: deny_attempts
-- A person says that none of these attempts booked anything.
UPDATE attempts SET outcome = 'job_failed', finished_at = COALESCE(finished_at, %(at)s)
WHERE booking_id = %(booking_id)s AND outcome IN ('accepted', 'unknown')

-- name: discard_event
-- Puts an event aside.
WITH moved AS (
    UPDATE events e SET state = 'discarded' FROM events before
    WHERE e.id = %(id)s AND before.id = e.id AND before.state IN ('held', 'received')
    RETURNING e.id, before.state AS from_state
)
INSERT INTO history (event_id, at, from_state, to_state, why, by)
SELECT id, %(at)s, from_state, 'discarded', %(why)s, %(by)s FROM moved
RETURNING event_id

-- name: reopen_event
-- Lets an event be mapped again.
WITH moved AS (
    UPDATE events e SET state = 'received' FROM events before
    WHERE e.id = %(id)s AND before.id = e.id AND before.state <> 'received'
    RETURNING e.id, before.state AS from_state
)
INSERT INTO history (event_id, at, from_state, to_state, why, by)
SELECT id, %(at)s, from_state, 'received', %(why)s, %(by)s FROM moved
RETURNING event_id

-- name: events_to_replay
-- Ids of events by source, state of the event or of one of its bookings, and time; oldest first.
SELECT e.id FROM events e
WHERE (%(ids)s::bigint[] IS NULL OR e.id = ANY(%(ids)s)
        OR e.id IN (SELECT event_id FROM bookings WHERE id = ANY(%(ids)s)))
    AND (%(source)s::text IS NULL OR e.source = %(source)s)
    AND (%(since)s::timestamptz IS NULL OR e.received_at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR e.received_at < %(until)s)
    AND (%(states)s::text[] IS NULL OR e.state = ANY(%(states)s) OR EXISTS (
        SELECT FROM bookings b WHERE b.event_id = e.id AND b.state = ANY(%(states)s)))
ORDER BY e.id LIMIT %(limit)s

-- name: reschedule
-- Puts off the next look at a booking whose state does not change.
UPDATE bookings SET due_at = %(due_at)s WHERE id = %(id)s AND state = %(state)s

-- name: stop_reconciling
-- Ends the looks at a booking whose state does not change, and writes that down.
WITH left_alone AS (
    UPDATE bookings SET due_at = NULL, reason = %(why)s, updated_at = %(at)s
    WHERE id = %(id)s AND state = %(state)s
    RETURNING id, event_id, state
)
INSERT INTO history (event_id, booking_id, at, from_state, to_state, why, by)
SELECT event_id, id, %(at)s, state, state, %(why)s, 'worker' FROM left_alone

-- name: insert_attempt
-- Writes down that a POST is about to leave.
INSERT INTO attempts (booking_id, kind, request, started_at, lease_until)
VALUES (%(booking_id)s, %(kind)s, %(request)s, %(started_at)s, %(lease_until)s)
RETURNING *

-- name: finish_attempt
-- What became of a POST. A late answer may mend an outcome that was given up as unknown.
UPDATE attempts
SET outcome = %(outcome)s, finished_at = %(at)s, status = %(status)s, answer = %(answer)s
WHERE id = %(id)s AND (outcome IS NULL OR outcome = 'unknown')
RETURNING id

-- name: fail_job_of
-- The job that this booking's accepted POST started has failed.
UPDATE attempts SET outcome = 'job_failed'
WHERE booking_id = %(booking_id)s AND outcome = 'accepted'

-- name: attempts_of
-- The attempts of one booking, oldest first.
SELECT * FROM attempts WHERE booking_id = %(booking_id)s ORDER BY id

-- name: expired_attempts
-- Bookings whose POST was begun by a process that did not live to write its outcome.
SELECT a.* FROM bookings b JOIN attempts a ON a.booking_id = b.id
WHERE b.state = 'sending' AND a.outcome IS NULL AND a.lease_until < %(now)s
ORDER BY a.id LIMIT 100

-- name: events_without_task
-- Events that wait for a task which is not there.
SELECT id FROM events e
WHERE state = 'received' AND received_at < %(before)s AND NOT EXISTS (
    SELECT FROM procrastinate_jobs j
    WHERE j.queueing_lock = 'map_event:' || e.id AND j.status = 'todo')
ORDER BY received_at LIMIT 100

-- name: bookings_without_task
-- Bookings that are due to be looked at and wait for a task which is not there.
SELECT id, state FROM bookings b
WHERE state IN ('submitted', 'unknown') AND due_at < %(before)s AND NOT EXISTS (
    SELECT FROM procrastinate_jobs j
    WHERE j.status = 'todo' AND j.queueing_lock =
        CASE state WHEN 'submitted' THEN 'follow_up:' ELSE 'reconcile:' END || b.id)
ORDER BY due_at LIMIT 100

-- name: is_awaited
-- Whether a booking has been due to be sent since then; the line is walked up to the first.
SELECT COALESCE((
    SELECT true FROM bookings WHERE (state = 'pending') IS TRUE AND (due_at < %(before)s) IS TRUE
    ORDER BY source, starts_at, id LIMIT 1), false) AS awaited

-- name: lock_keys
-- A lock for each key (a person at a community, an item), until the transaction ends; in one order.
SELECT pg_advisory_xact_lock(key) FROM (
    SELECT DISTINCT key FROM unnest(%(keys)s::bigint[]) AS key ORDER BY key) AS keys

-- name: bookings_of_people
-- Bookings in these states of whoever has one of these keys.
SELECT * FROM bookings
WHERE person_keys && %(keys)s::bigint[] AND (state = ANY(%(states)s)) IS TRUE
    AND id <> %(except_id)s
ORDER BY id

-- name: has_waiting_sibling
-- Other bookings of the same person that wait to be sent. Without a LIMIT: for the first of a few
-- the planner would rather read the whole table.
SELECT o.id FROM bookings b JOIN bookings o ON o.person_keys && b.person_keys AND o.id <> b.id
WHERE b.id = %(id)s AND o.state IS NOT DISTINCT FROM 'pending'

-- name: known_jobs
-- Those of these jobs that belong to a booking.
SELECT job_id FROM bookings WHERE job_id = ANY(%(job_ids)s)

-- name: most_urgent_soon
-- The soonest tour among those that start before then, of nobody who has one on the wire.
-- Counted, here and below: one waiting booking at a time is looked up, in the order of the line.
-- EXISTS would be joined with the whole line, or planned as if the first of many were soon found;
-- "0 =" is taken to match hardly any row, so that the whole line would have to be walked.
SELECT b.* FROM bookings b
WHERE (state = 'pending') IS TRUE AND kind = 'appointment' AND (due_at <= %(now)s) IS TRUE
    AND starts_at > %(late)s AND starts_at < %(soon)s AND 1 > (
    SELECT count(*) FROM bookings o
    WHERE o.person_keys && b.person_keys AND o.state IN ('sending', 'submitted'))
ORDER BY starts_at, id LIMIT 1 FOR UPDATE SKIP LOCKED

-- name: most_urgent_in_turn
-- The soonest tour of the source whose turn it is, of nobody who has one on the wire.
-- Guest cards have no time: they stand behind all tours, and go out by turns as well.
WITH first AS (
    SELECT b.id
    FROM source_turns t, rate_limit g, LATERAL (
        SELECT id, starts_at IS NULL AS can_wait FROM bookings b
        WHERE (state = 'pending') IS TRUE AND source = t.source AND (due_at <= %(now)s) IS TRUE
            AND (starts_at <= %(late)s) IS NOT TRUE AND 1 > (
            SELECT count(*) FROM bookings o
            WHERE o.person_keys && b.person_keys AND o.state IN ('sending', 'submitted'))
        ORDER BY starts_at, id LIMIT 1) b
    ORDER BY b.can_wait, GREATEST(t.virtual_time, g.virtual_time), t.source LIMIT 1
)
SELECT * FROM bookings WHERE id = (SELECT id FROM first)
    -- It may have moved on since it was chosen: what is locked is looked at again.
    AND state IS NOT DISTINCT FROM 'pending' AND (due_at <= %(now)s) IS TRUE
FOR UPDATE SKIP LOCKED

-- name: take_turn
-- Puts a source behind the others, by its weight.
WITH served AS (
    UPDATE source_turns t SET virtual_time = GREATEST(t.virtual_time, g.virtual_time) + 1.0 / %(weight)s
    FROM rate_limit g WHERE t.source = %(source)s
    RETURNING GREATEST(t.virtual_time, g.virtual_time) - 1.0 / %(weight)s AS began
)
UPDATE rate_limit SET virtual_time = GREATEST(rate_limit.virtual_time, served.began) FROM served

-- name: expire
-- Waiting bookings whose tour starts too soon to be booked.
SELECT id FROM bookings
WHERE (state = 'pending') IS TRUE AND kind = 'appointment' AND starts_at <= %(before)s
ORDER BY starts_at LIMIT 100 FOR UPDATE SKIP LOCKED

-- name: expire_prospects
-- Waiting guest cards that nobody has got into Knock since then.
SELECT id FROM bookings
WHERE (state = 'pending') IS TRUE AND kind = 'prospect'
    AND GREATEST(created_at, asked_at) <= %(before)s
ORDER BY GREATEST(created_at, asked_at) LIMIT 100 FOR UPDATE SKIP LOCKED

-- name: event_of_claim
-- The event or booking that claimed a digest first.
SELECT lead_id FROM claims WHERE source = %(source)s AND digest = %(digest)s

-- name: lock_rate_limit
-- Locks the rate limit until the transaction ends.
SELECT FROM rate_limit FOR UPDATE

-- name: delete_old_calls
-- Drops calls that are out of the window.
DELETE FROM calls WHERE at <= %(before)s

-- name: rate_limit
-- What the rate limit holds, with the calls of the window.
SELECT theoretical_arrival_at, paused_until, stopped_for, allowed, c.calls, c.reads, c.oldest_at,
    COALESCE((
        SELECT true FROM bookings WHERE (state = 'pending') IS TRUE AND (due_at <= %(now)s) IS TRUE
        ORDER BY source, starts_at, id LIMIT 1), false) AS is_awaited
FROM rate_limit, (
    SELECT count(*) AS calls, count(*) FILTER (WHERE is_read) AS reads, min(at) AS oldest_at
    FROM calls) c

-- name: take_call
-- Counts one call.
WITH call AS (INSERT INTO calls (at, is_read) VALUES (%(at)s, %(is_read)s))
UPDATE rate_limit SET theoretical_arrival_at = %(theoretical_arrival_at)s

-- name: save_rate
-- Keeps what Propexo says of its limit.
UPDATE rate_limit SET allowed = %(allowed)s, paused_until = GREATEST(paused_until, %(until)s)

-- name: pause_sending
-- Lets nothing pass before then.
UPDATE rate_limit SET paused_until = GREATEST(paused_until, %(until)s)

-- name: suspend_sending
-- Stops sending; no row comes back when it was stopped already.
UPDATE rate_limit SET stopped_for = %(reason)s, checked_at = %(now)s WHERE stopped_for IS NULL
RETURNING stopped_for

-- name: take_check
-- Takes the next check of a stopped rate limit; no row comes back when it is not due or not stopped.
UPDATE rate_limit SET checked_at = %(now)s
WHERE stopped_for IS NOT NULL AND checked_at <= %(before)s
RETURNING stopped_for

-- name: resume_sending
-- Starts sending again.
UPDATE rate_limit SET stopped_for = NULL

-- name: event_of_booking
-- The event that a booking was made of.
SELECT event_id AS id FROM bookings WHERE id = %(id)s

-- name: event_of_job
-- The event whose booking Propexo gave this job id.
SELECT event_id AS id FROM bookings WHERE job_id = %(job_id)s

-- name: bookings_of_event
-- The bookings of one event, in the order of its items.
SELECT * FROM bookings WHERE event_id = %(event_id)s ORDER BY item

-- name: history_of_event
-- Every change of state of one event and its bookings, oldest first.
SELECT booking_id, at, from_state, to_state, why, by FROM history
WHERE event_id = %(event_id)s ORDER BY id

-- name: duplicates_of_event
-- How often the event was delivered again, and when last.
SELECT repeats, repeated_at FROM claims WHERE lead_id = %(event_id)s AND repeats > 0

-- name: ping
-- Whether the database answers and can be written to.
SELECT NOT pg_is_in_recovery() AS writable

-- name: set_statement_timeout
-- Gives up each further statement of this transaction after so long.
SELECT set_config('statement_timeout', %(limit)s, true)

-- name: lock_rejections
-- Lets one transaction at a time add to a source's rejections, so that the bound holds.
SELECT pg_advisory_xact_lock(hashtextextended('rejections:' || %(source)s, 0))

-- name: insert_rejection
-- One refused request.
INSERT INTO rejections (
    source, received_at, reason, method, url, headers, body, bytes, sender, can_retry)
VALUES (
    %(source)s, %(received_at)s, %(reason)s, %(method)s, %(url)s, %(headers)s, %(body)s, %(bytes)s,
    %(sender)s, %(can_retry)s)

-- name: trim_rejections
-- Removes the oldest of a source's rejections, down to so many rows and bytes.
DELETE FROM rejections USING (
    SELECT id, row_number() OVER newest AS place, sum(bytes) OVER newest AS total
    FROM rejections WHERE source = %(source)s
    WINDOW newest AS (ORDER BY id DESC)
) ranked
WHERE rejections.id = ranked.id AND (place > %(rows)s OR total > %(bytes)s)

-- name: rejections
-- Rejections, newest first, of one source where it is given.
SELECT * FROM rejections
WHERE (%(source)s::text IS NULL OR source = %(source)s)
ORDER BY id DESC LIMIT %(limit)s

-- name: rejection
-- One rejection.
SELECT * FROM rejections WHERE id = %(id)s

-- name: rejections_of_source
-- All rejections of one source, oldest first.
SELECT * FROM rejections WHERE source = %(source)s ORDER BY id

-- name: remove_rejection
-- Removes a rejection that was let in.
DELETE FROM rejections WHERE id = %(id)s

-- name: rejection_counts
-- How many rejections each source has.
SELECT source, count(*) AS rejections FROM rejections GROUP BY source

-- name: note_secret_use
-- Notes when a secret last verified a request.
INSERT INTO secret_uses (source, name, used_at) VALUES (%(source)s, %(name)s, %(at)s)
ON CONFLICT (source, name) DO UPDATE SET used_at = GREATEST(secret_uses.used_at, EXCLUDED.used_at)

-- name: secret_uses
-- When each secret last verified a request.
SELECT source, name, used_at FROM secret_uses

-- name: unknown_communities
-- What sources call the places of held leads that no community is known by, the most frequent first.
SELECT b.source, why ->> 'value' AS value, why ->> 'path' AS path, count(*) AS waiting,
    max(b.created_at) AS last_at
FROM bookings b, jsonb_array_elements(b.reasons) AS why
WHERE b.state = 'held' AND b.community IS NULL AND why ->> 'field' = 'community'
GROUP BY 1, 2, 3 ORDER BY 1, 4 DESC, 2

-- name: event_counts
-- How many events of each source are in each state, and when the last one came.
SELECT source, state, count(*) AS events, max(received_at) AS last_at FROM events
GROUP BY source, state

-- name: erasable_events
-- Events of which something is kept, received before then, with no tour to come and none on its way.
SELECT e.id FROM events e
WHERE e.kept = ANY(%(kept)s) AND e.kept <> 'nothing' AND e.state <> 'received'
    AND e.received_at < %(before)s
    AND NOT EXISTS (
    SELECT FROM bookings b WHERE b.event_id = e.id
        AND (b.state IN ('pending', 'sending', 'submitted') OR b.due_at IS NOT NULL
            OR b.starts_at > %(now)s))
ORDER BY e.received_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED

-- name: erase_payloads
-- Erases what was sent to us and by us. What became of it stays.
WITH stripped AS (
    UPDATE events SET
        kept = 'lead', body = '', headers = '{}', query = '',
        reasons = (SELECT COALESCE(jsonb_agg(one - 'value'), '[]')
            FROM jsonb_array_elements(reasons) AS one)
    WHERE id = ANY(%(ids)s)
), silenced AS (
    UPDATE bookings SET reasons = (SELECT COALESCE(jsonb_agg(one - 'value'), '[]')
        FROM jsonb_array_elements(reasons) AS one)
    WHERE event_id = ANY(%(ids)s)
)
UPDATE attempts SET request = '{}', answer = NULL
WHERE booking_id IN (SELECT id FROM bookings WHERE event_id = ANY(%(ids)s))

-- name: erase_people
-- Erases who it was about: only these fields of an appointment stay, and constant words of history.
WITH forgotten AS (
    UPDATE events SET kept = 'nothing' WHERE id = ANY(%(ids)s)
), nameless AS (
    UPDATE bookings SET appointment = (SELECT COALESCE(jsonb_object_agg(key, value), '{}')
        FROM jsonb_each(appointment) WHERE key = ANY(%(fields)s))
    WHERE event_id = ANY(%(ids)s)
)
UPDATE history SET why = 'erased' WHERE event_id = ANY(%(ids)s) AND why !~ '^[a-z_]+$'

-- name: erase_booking_words
-- The reason of a booking that a person wrote by hand.
UPDATE bookings SET reason = 'erased' WHERE event_id = ANY(%(ids)s) AND reason !~ '^[a-z_]+$'

-- name: erase_rejections
-- Removes refused requests that came before then.
DELETE FROM rejections WHERE id IN (
    SELECT id FROM rejections WHERE received_at < %(before)s ORDER BY received_at LIMIT %(limit)s)
RETURNING id

-- name: last_event_id
-- The newest event's id.
SELECT max(id) AS id FROM events

-- name: events_that_name
-- Of the events after one id and up to another: those that hold a text that matches.
SELECT e.id FROM events e
WHERE e.id > %(after)s AND e.id <= %(until)s AND e.kept <> 'nothing' AND (
    lower(encode(e.body, 'escape')) ~ %(pattern)s OR lower(e.query) ~ %(pattern)s
    OR lower(e.headers::text) ~ %(pattern)s OR EXISTS (
    SELECT FROM bookings b WHERE b.event_id = e.id AND lower(b.appointment::text) ~ %(pattern)s))
ORDER BY e.id

-- name: rejections_that_name
-- Refused requests that hold a text that matches.
SELECT id FROM rejections
WHERE lower(encode(body, 'escape')) ~ %(pattern)s OR lower(url) ~ %(pattern)s
    OR lower(headers::text) ~ %(pattern)s
