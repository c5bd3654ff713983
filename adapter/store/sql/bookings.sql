-- Bookings: appointments and guest cards.

-- name: insert_booking
-- Store a booking and the first entry in its history.
WITH booking AS (
    INSERT INTO bookings (
        event_id, item, source, kind, state, community, timezone, starts_at, appointment, reasons,
        due_at, created_at, updated_at, reason, asked_at, match_keys, item_key, content,
        is_cancellation, because_of, wall_time)
    VALUES (
        %(event_id)s, %(item)s, %(source)s, %(kind)s, %(state)s, %(community)s, %(timezone)s,
        %(starts_at)s, %(appointment)s, %(reasons)s, %(due_at)s, %(at)s, %(at)s, %(reason)s,
        %(asked_at)s, %(match_keys)s, %(item_key)s, %(content)s, %(is_cancellation)s, %(because_of)s,
        %(wall_time)s)
    RETURNING id, event_id, state, source
), turn AS (
    INSERT INTO source_turns (source) SELECT source FROM booking ON CONFLICT DO NOTHING
)
INSERT INTO history (event_id, booking_id, at, to_state, why, by, because_of)
SELECT event_id, id, %(at)s, state, %(why)s, %(by)s, %(because_of)s FROM booking
RETURNING booking_id

-- name: get_booking
-- Return one booking.
SELECT * FROM bookings WHERE id = %(id)s

-- name: lock_booking
-- Return one booking, locked until the transaction ends.
SELECT * FROM bookings WHERE id = %(id)s FOR UPDATE

-- name: booking_of_job
-- Return the booking with this Propexo job.
SELECT * FROM bookings WHERE job_id = %(job_id)s ORDER BY id LIMIT 1

-- name: bookings_of_event
-- Return an event's bookings, in item order.
SELECT * FROM bookings WHERE event_id = %(event_id)s ORDER BY item

-- name: bookings_of_events
-- Return the bookings of these events, in the order of events and items.
SELECT * FROM bookings WHERE event_id = ANY(%(event_ids)s::bigint[]) ORDER BY event_id, item

-- name: bookings_made_by
-- Return the IDs of an event's bookings whose first entry in the history is from this user.
SELECT booking_id FROM history
WHERE event_id = %(event_id)s AND by = %(by)s AND booking_id IS NOT NULL AND from_state IS NULL

-- name: bookings_pending_at_first
-- Return the events and times at which bookings of these events were added to the send queue.
SELECT DISTINCT event_id, at FROM history
WHERE event_id = ANY(%(event_ids)s::bigint[]) AND booking_id IS NOT NULL AND from_state IS NULL
    AND to_state = 'pending'

-- name: bookings_of_ids
-- Return the bookings with these IDs.
SELECT * FROM bookings WHERE id = ANY(%(ids)s::bigint[])

-- name: bookings_because_of
-- Return the bookings whose state was caused by one of these bookings, newest first.
SELECT * FROM bookings WHERE because_of = ANY(%(ids)s) ORDER BY id DESC LIMIT %(limit)s

-- name: open_cancellations
-- Return the cancellations of these bookings that still need review, oldest first.
SELECT * FROM bookings WHERE because_of = ANY(%(ids)s::bigint[]) AND is_cancellation AND state = 'held'
ORDER BY id

-- name: related
-- The beginning of two other statements. It selects the keys that do not have too many bookings, and the
-- bookings that share one of these keys and may still matter. Each step has a limit, because all bookings
-- may have the same contact, and is materialized, because otherwise the planner might read the whole table.
WITH usable AS MATERIALIZED (
    SELECT key FROM unnest(%(keys)s::bigint[]) AS key WHERE %(limit)s > (
        SELECT count(*) FROM (
            SELECT FROM bookings WHERE match_keys @> ARRAY[key] LIMIT %(limit)s) AS known)
), related AS MATERIALIZED (
    SELECT id, match_keys FROM bookings
    WHERE match_keys && ARRAY(SELECT key FROM usable) AND reason IS DISTINCT FROM 'replayed' AND (
        state IN ('pending', 'sending', 'submitted', 'unknown', 'held', 'failed')
        OR starts_at > %(now)s OR moved_to > %(now)s OR created_at > %(since)s) IS TRUE
)

-- name: bookings_of_keys
-- Return the related bookings and the newest ones merged with or replaced by them, oldest first.
SELECT * FROM bookings WHERE id = ANY(ARRAY(
    SELECT id FROM related UNION (
        SELECT id FROM bookings WHERE because_of = ANY(ARRAY(SELECT id FROM related))
            AND state IN ('duplicate', 'superseded')
        ORDER BY id DESC LIMIT %(limit)s)))
ORDER BY id

-- name: changes_with
-- Return the changes of related bookings and their events when this one was recorded as gone from Knock.
SELECT h.booking_id, h.at, h.from_state, h.to_state, h.why, h.by, h.because_of
FROM history h JOIN (
    SELECT id, event_id FROM bookings
    WHERE (match_keys && %(keys)s::bigint[] OR because_of = %(id)s) AND id <> %(id)s LIMIT %(limit)s
) other ON other.event_id = h.event_id AND (other.id = h.booking_id OR h.booking_id IS NULL)
WHERE h.at = %(at)s ORDER BY h.id

-- name: known_jobs
-- Return the jobs in this list that belong to a booking.
SELECT job_id FROM bookings WHERE job_id = ANY(%(job_ids)s)

-- name: move_booking
-- Change a booking's state and record the change. Return no row if it was in another state. If the new
-- state is final, notify the requests that wait for the event's outcome.
WITH before AS (
    SELECT id, event_id, state FROM bookings
    WHERE id = %(id)s AND state = ANY(%(from_states)s) FOR UPDATE
), moved AS (
    UPDATE bookings SET
        state = %(to_state)s, reason = %(why)s, due_at = %(due_at)s, updated_at = %(at)s,
        job_id = COALESCE(%(job_id)s, job_id), because_of = %(because_of)s, snoozed_until = NULL,
        posted_at = CASE WHEN %(to_state)s = 'sending' THEN %(at)s
            ELSE COALESCE(%(posted_at)s, posted_at) END,
        gone_at = CASE WHEN %(to_state)s IN ('pending', 'booked')
            OR %(why)s = 'booked_after_cancellation' THEN NULL ELSE gone_at END,
        -- Knock's facts about a tour do not apply to the next tour.
        tour_id = CASE WHEN %(to_state)s <> 'pending' THEN tour_id END,
        confirmed_at = CASE WHEN %(to_state)s <> 'pending' THEN confirmed_at END,
        knock_status = CASE WHEN %(to_state)s <> 'pending' THEN knock_status END,
        knock_status_at = CASE WHEN %(to_state)s <> 'pending' THEN knock_status_at END,
        moved_to = CASE WHEN %(to_state)s <> 'pending' THEN moved_to END,
        moved_at = CASE WHEN %(to_state)s <> 'pending' THEN moved_at END,
        -- The history keeps the previous decision's rule.
        reasons = jsonb_path_query_array(reasons, '$[*] ? (@.field != "decision")') || %(reasons)s
    FROM before WHERE bookings.id = before.id
)
INSERT INTO history (event_id, booking_id, at, from_state, to_state, why, by, because_of)
SELECT event_id, id, %(at)s, state, %(to_state)s, %(why)s, %(by)s, %(because_of)s FROM before
RETURNING booking_id, CASE WHEN %(is_settled)s THEN pg_notify('settled', event_id::text) END

-- name: repoint
-- Replace one booking with another as the cause of other leads' states.
UPDATE bookings SET because_of = %(to_id)s WHERE because_of = %(from_id)s

-- name: pass_on_plan
-- Copy the user who takes care of a lead, and the time until which it is snoozed, to its replacement.
UPDATE bookings SET assigned_to = COALESCE(assigned_to, %(user)s),
    snoozed_until = COALESCE(snoozed_until, %(until)s)
WHERE id = %(id)s

-- name: mark_gone
-- Record that, according to a user, these bookings no longer exist in Knock.
UPDATE bookings SET gone_at = %(at)s WHERE id = ANY(%(ids)s)

-- name: unmark_gone
-- Undo a user's report, made at this time, that these bookings no longer exist in Knock.
UPDATE bookings SET gone_at = NULL WHERE id = ANY(%(ids)s) AND gone_at = %(at)s

-- name: bookings_of_record
-- Return the newest bookings that a record in Knock may belong to: bookings with its ID or its guest card, and
-- bookings that share an email address or phone number with it. Phone numbers are reversed for the index.
SELECT * FROM bookings WHERE posted_at IS NOT NULL AND id = ANY(ARRAY(
    (SELECT id FROM bookings WHERE tour_id = %(record_id)s ORDER BY id DESC LIMIT %(limit)s)
    UNION (SELECT id FROM bookings WHERE prospect_id = %(prospect_id)s ORDER BY id DESC LIMIT %(limit)s)
    UNION (SELECT id FROM bookings WHERE appointment ? 'email_1'
        AND appointment ->> 'email_1' = ANY(%(emails)s) ORDER BY id DESC LIMIT %(limit)s)
    UNION (SELECT id FROM bookings WHERE appointment ? 'phone_1'
        AND reverse(appointment ->> 'phone_1') = ANY(%(phones)s) ORDER BY id DESC LIMIT %(limit)s)))
ORDER BY id

-- name: record_in_knock
-- Save the facts from Knock about a booking. If they are new, add an entry to the booking's history.
WITH known AS (
    UPDATE bookings SET
        prospect_id = COALESCE(%(prospect_id)s, prospect_id), tour_id = COALESCE(tour_id, %(tour_id)s),
        confirmed_at = COALESCE(confirmed_at, %(confirmed_at)s),
        knock_status = COALESCE(%(status)s, knock_status),
        knock_status_at = COALESCE(%(status_at)s, knock_status_at),
        moved_to = COALESCE(%(moved_to)s, moved_to), moved_at = COALESCE(%(moved_at)s, moved_at)
    WHERE id = %(id)s RETURNING id, event_id, state
)
INSERT INTO history (event_id, booking_id, at, from_state, to_state, why, by, because_of)
SELECT event_id, id, %(at)s, state, state, %(why)s, %(by)s, %(because_of)s
FROM known WHERE %(why)s::text IS NOT NULL

-- name: search_again_soon
-- Search sooner for unknown bookings that a record without a matching booking may belong to: those at one of
-- these times, or all bookings of the integration if no times are given.
UPDATE bookings SET due_at = %(at)s
WHERE id IN (
    SELECT id FROM bookings
    WHERE state = 'unknown' AND due_at > %(at)s AND appointment ->> 'integration_id' = %(integration_id)s
        AND (%(instants)s::timestamptz[] = '{}' OR starts_at = ANY(%(instants)s))
    ORDER BY id FOR UPDATE SKIP LOCKED)

-- name: has_unseen_tour
-- Return a row if a recently requested tour was sent but has not been seen in Knock. The tour is at one of these
-- times, if any are given. If its guest card was seen, a record with another guest card does not belong to it.
SELECT id FROM bookings
WHERE created_at > %(since)s AND kind = 'appointment' AND state IN ('sending', 'submitted', 'booked', 'unknown')
    AND appointment ->> 'integration_id' = %(integration_id)s AND tour_id IS NULL
    AND (prospect_id IS NULL OR %(is_of_any_card)s)
    AND (%(instants)s::timestamptz[] = '{}' OR starts_at = ANY(%(instants)s))
LIMIT 1

-- name: record_prospect
-- Save the ID of a booking's guest card, unless a confirmed ID is already stored.
UPDATE bookings SET prospect_id = %(prospect_id)s
WHERE id = %(id)s AND (prospect_id IS NULL OR tour_id IS NULL AND confirmed_at IS NULL)

-- name: update_booking
-- Save a user's changes to a booking.
UPDATE bookings SET
    kind = %(kind)s, appointment = %(appointment)s, community = %(community)s, timezone = %(timezone)s,
    starts_at = %(starts_at)s, match_keys = %(match_keys)s, asked_at = %(asked_at)s
WHERE id = %(id)s

-- name: snooze
-- Hide a lead that needs review until the given time, or show it again. Return no row in any other state.
UPDATE bookings SET snoozed_until = %(until)s
WHERE id = %(id)s AND state IN ('held', 'failed', 'unknown', 'expired') RETURNING id

-- name: assign
-- Assign a lead to a user, or to no user.
UPDATE bookings SET assigned_to = %(user)s WHERE id = %(id)s RETURNING id

-- name: state_before
-- Return a booking's previous state, its reason, and the ID of the lead that caused it.
SELECT last.from_state, earlier.why, earlier.because_of
FROM bookings b, LATERAL (
    SELECT * FROM history h WHERE h.event_id = b.event_id AND h.booking_id = b.id
    ORDER BY h.id DESC LIMIT 1) last
LEFT JOIN LATERAL (
    SELECT why, because_of FROM history h
    WHERE h.event_id = last.event_id AND h.booking_id = last.booking_id AND h.id < last.id
        AND h.to_state = last.from_state
    ORDER BY h.id DESC LIMIT 1) earlier ON true
WHERE b.id = %(id)s

-- name: next_check
-- Lock and return the submitted or unknown booking that has been due longest, with flags for more due bookings
-- and for other requests that share a key with it. With LIMIT 2 instead, the planner would read the whole table.
SELECT b.*, 1 < (SELECT count(*) FROM (
    SELECT FROM bookings WHERE state IN ('submitted', 'unknown') AND due_at <= %(now)s
    ORDER BY due_at LIMIT 2) w) AS has_more,
    1 < (SELECT count(*) FROM (
        SELECT FROM bookings o WHERE o.match_keys && b.match_keys LIMIT 500) r) AS has_related
FROM bookings b WHERE state IN ('submitted', 'unknown') AND due_at <= %(now)s
ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED

-- name: reschedule
-- Postpone the next check of a booking whose state does not change.
UPDATE bookings SET due_at = %(due_at)s WHERE id = %(id)s AND state = %(state)s

-- name: stop_reconciling
-- Stop checking a booking whose state does not change, and record this in its history.
WITH stopped AS (
    UPDATE bookings SET due_at = NULL, reason = %(why)s, updated_at = %(at)s
    WHERE id = %(id)s AND state = %(state)s
    RETURNING id, event_id, state
)
INSERT INTO history (event_id, booking_id, at, from_state, to_state, why, by)
SELECT event_id, id, %(at)s, state, state, %(why)s, 'worker' FROM stopped
