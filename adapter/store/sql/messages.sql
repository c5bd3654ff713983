-- Messages: text that renters write after their guest card or tour has been created.

-- name: insert_message
-- Store a message that is to be sent, unless one is already waiting for the same booking.
INSERT INTO messages (booking_id, asked_at, body, encryption_key, due_at, created_at, updated_at)
SELECT %(booking_id)s, %(asked_at)s, %(body)s, %(encryption_key)s, %(at)s, %(at)s, %(at)s
WHERE %(body)s::bytea IS NOT NULL OR NOT EXISTS (
    SELECT FROM messages WHERE booking_id = %(booking_id)s AND state = 'waiting')

-- name: claim_message
-- Return the message that has been due longest. It becomes due again after a lease. If its state is sending,
-- its process has died, and the outcome is unclear. While Propexo does not respond to notes, all unsent messages
-- wait.
UPDATE messages SET due_at = %(lease_until)s
WHERE id = (
    SELECT id FROM messages
    WHERE due_at <= %(now)s AND (state <> 'waiting' OR (SELECT note_retry_at FROM rate_limit) <= %(now)s)
    ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING *

-- name: lock_message
-- Return one message, locked until the transaction ends.
SELECT * FROM messages WHERE id = %(id)s FOR UPDATE

-- name: messages_of_bookings
-- Return the messages of these bookings, and all other messages to the same guest cards, in the order of
-- sending.
WITH own AS (
    SELECT * FROM messages WHERE booking_id = ANY(%(ids)s::bigint[])
)
SELECT * FROM own
UNION SELECT * FROM messages WHERE prospect_id = ANY(%(prospect_ids)s::text[])
UNION SELECT * FROM messages WHERE prospect_id IN (SELECT prospect_id FROM own)
ORDER BY asked_at, id

-- name: messages_of_event
-- Return the messages for an event's bookings, in the order they are sent.
SELECT m.* FROM messages m JOIN bookings b ON b.id = m.booking_id
WHERE b.event_id = %(event_id)s ORDER BY m.asked_at, m.id

-- name: known_prospect
-- Return the guest card of the latest message for one of these bookings that has one.
SELECT prospect_id FROM messages WHERE booking_id = ANY(%(ids)s::bigint[]) AND prospect_id IS NOT NULL
ORDER BY id DESC LIMIT 1

-- name: begin_message
-- Record a POST before it is sent. Return no row if the message is no longer waiting.
UPDATE messages SET state = 'sending', reason = NULL, body = %(body)s, encryption_key = %(encryption_key)s,
    prospect_id = %(prospect_id)s, tries = tries + 1, posted_at = %(at)s, updated_at = %(at)s,
    due_at = %(lease_until)s
WHERE id = %(id)s AND state = 'waiting' RETURNING *

-- name: move_message
-- Change a message's state. Return no row if it was in another state.
UPDATE messages SET state = %(to_state)s, reason = %(why)s, due_at = %(due_at)s, updated_at = %(at)s,
    job_id = COALESCE(%(job_id)s, job_id)
WHERE id = %(id)s AND state = ANY(%(from_states)s) RETURNING id

-- name: hurry_messages
-- Make the waiting messages of these bookings due.
UPDATE messages SET due_at = %(now)s
WHERE booking_id = ANY(%(ids)s::bigint[]) AND state = 'waiting' AND due_at > %(now)s

-- name: save_words
-- Save the text of a message.
UPDATE messages SET body = %(body)s, encryption_key = %(encryption_key)s WHERE id = %(id)s

-- name: record_prospect_of_message
-- Save the guest card that a waiting message will be sent to.
UPDATE messages SET prospect_id = %(prospect_id)s WHERE id = %(id)s AND state = 'waiting'

-- name: postpone_message
-- Set when to try or check a message next.
UPDATE messages SET due_at = %(due_at)s WHERE id = %(id)s AND due_at IS NOT NULL

-- name: bring_messages_forward
-- Make all messages due by the given time.
UPDATE messages SET due_at = %(until)s WHERE due_at > %(until)s

-- name: delete_message
-- Delete a message if it contains nothing new, or if its lead will be booked.
DELETE FROM messages WHERE id = %(id)s AND state = 'waiting'

-- name: check_job_of_message
-- Make the check of a message's job due.
UPDATE messages SET due_at = %(now)s WHERE job_id = %(job_id)s AND state = 'submitted'

-- name: delete_waiting_messages
-- Delete the messages of these events that are not sent yet.
DELETE FROM messages
WHERE state = 'waiting' AND booking_id IN (SELECT id FROM bookings WHERE event_id = ANY(%(ids)s))

-- name: messages_in_flight
-- Return a row if a message of these events is in flight.
SELECT m.id FROM messages m JOIN bookings b ON b.id = m.booking_id
WHERE b.event_id = ANY(%(ids)s) AND m.state IN ('sending', 'submitted') LIMIT 1

-- name: erase_messages
-- Erase the text of these events' messages that are no longer needed for sending.
UPDATE messages SET body = NULL, encryption_key = NULL
WHERE state NOT IN ('waiting', 'sending')
    AND booking_id IN (SELECT id FROM bookings WHERE event_id = ANY(%(ids)s))

-- name: messages_possibly_sent
-- Return the messages that may have been sent since the backup, which were stored before sending stopped.
SELECT * FROM messages WHERE state IN ('waiting', 'sending')
    AND created_at <= COALESCE((SELECT stopped_at FROM rate_limit), 'infinity')
ORDER BY id

-- name: insert_lost_message
-- Store a note that was sent to Propexo but is missing from the restored database.
INSERT INTO messages (state, reason, asked_at, body, encryption_key, prospect_id, job_id, created_at, updated_at,
    posted_at)
SELECT 'sent', 'note_sent', %(asked_at)s, %(body)s, %(encryption_key)s, %(prospect_id)s, %(job_id)s, %(at)s,
    %(at)s, %(asked_at)s
WHERE NOT EXISTS (SELECT FROM messages WHERE job_id = %(job_id)s)
