-- Alarms.

-- name: try_lock_alarms
-- Lock the alarms until the transaction ends, unless another process has locked them. A process that hangs loses the
-- lock after 5 seconds.
SELECT pg_try_advisory_xact_lock(hashtextextended('alarms', 0)) AS is_locked,
    set_config('idle_in_transaction_session_timeout', '5s', true)

-- name: open_alarms
-- Return all open alarms, and the ended alarms whose end has not been announced.
SELECT id, code, source, level, sentence, next_step, began_at, seen_at, ended_at, sent_at,
    claimed_until, acknowledged_by, snoozed_until
FROM alarms WHERE NOT is_closed ORDER BY id

-- name: newest_alarms
-- Return the open alarms and then the others, newest first.
SELECT id, code, source, level, sentence, next_step, began_at, seen_at, ended_at, sent_at,
    claimed_until, acknowledged_by, snoozed_until
FROM alarms ORDER BY is_closed, id DESC LIMIT %(limit)s

-- name: add_alarm
-- Add an alarm.
INSERT INTO alarms (code, source, level, sentence, next_step, began_at, seen_at)
VALUES (%(code)s, %(source)s, %(level)s, %(sentence)s, %(next_step)s, %(began_at)s, %(now)s)

-- name: mark_alarms_seen
-- Record that these problems are ongoing, even if they seemed to be over.
UPDATE alarms SET seen_at = %(now)s, ended_at = NULL WHERE id = ANY(%(ids)s)

-- name: end_alarms
-- End the alarms about problems that no process has noticed since the given time. If people were not
-- notified of a problem, they are not notified of its end.
UPDATE alarms SET ended_at = seen_at, is_closed = sent_at IS NULL, claimed_until = 'epoch'
WHERE NOT is_closed AND ended_at IS NULL AND seen_at <= %(unseen_since)s
RETURNING code, source

-- name: claim_alarms
-- Let only this process notify people of these alarms until the given time.
UPDATE alarms SET claimed_until = %(until)s WHERE id = ANY(%(ids)s)

-- name: record_alarms_sent
-- Record that people were notified of these alarms, and close the alarms whose end was announced.
UPDATE alarms SET sent_at = %(now)s, claimed_until = 'epoch', is_closed = id = ANY(%(ended)s)
WHERE id = ANY(%(ids)s)

-- name: last_alarm_sent
-- Return the time of the latest alarm notification.
SELECT max(sent_at) AS sent_at FROM alarms

-- name: acknowledge_alarms
-- Record the user who takes care of the open alarms with a code, of one source if given.
UPDATE alarms SET acknowledged_by = %(by)s
WHERE code = %(code)s AND (%(source)s = '' OR source = %(source)s) AND NOT is_closed AND ended_at IS NULL
RETURNING id

-- name: snooze_alarms
-- Suppress notifications for the open alarms with a code, of one source if given, until the given time.
UPDATE alarms SET snoozed_until = %(until)s
WHERE code = %(code)s AND (%(source)s = '' OR source = %(source)s) AND NOT is_closed AND ended_at IS NULL
RETURNING id

-- name: delete_old_alarms
-- Delete alarms that ended before the given time.
DELETE FROM alarms WHERE is_closed AND ended_at < %(before)s
