-- Emails with a link to choose a tour time.

-- name: queue_invitation_mail
-- Queue an email for a guest card, unless the renter got one before the webhook was mapped again.
INSERT INTO invitation_mails (booking_id, language, created_at, due_at)
SELECT b.id, %(language)s, %(now)s, %(now)s FROM bookings b
WHERE b.id = %(booking_id)s AND NOT EXISTS (
    SELECT FROM invitation_mails m JOIN bookings o ON o.id = m.booking_id
    WHERE o.event_id = b.event_id AND o.match_keys && b.match_keys)

-- name: claim_invitation_mail
-- Claim the email that has been due longest, unless the database was restored: it may have been sent then.
-- A claimed email is not due anymore, so that it is not sent twice if this process dies.
UPDATE invitation_mails SET attempts = attempts + 1, due_at = NULL
WHERE booking_id = (
    SELECT booking_id FROM invitation_mails
    WHERE due_at <= %(now)s AND NOT EXISTS (SELECT FROM gate WHERE stopped_for = 'restored')
    ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING booking_id, language, created_at, due_at, attempts, outcome, tried_at

-- name: end_invitation_mail
-- Record the outcome of a claimed email, and the time of the next attempt, if any.
UPDATE invitation_mails SET outcome = %(outcome)s, due_at = %(due_at)s, tried_at = %(now)s
WHERE booking_id = %(booking_id)s

-- name: invitation_mails_of_event
-- Return the emails to the renters of an event's guest cards.
SELECT booking_id, language, m.created_at, m.due_at, attempts, outcome, tried_at
FROM invitation_mails m JOIN bookings b ON b.id = m.booking_id
WHERE b.event_id = %(event_id)s ORDER BY m.booking_id

-- name: count_failed_invitation_mail
-- Count a failed attempt.
INSERT INTO invitation_mail_failures AS f (failures, failing_since, failed_at, last_error)
VALUES (1, %(now)s, %(now)s, %(error)s)
ON CONFLICT (one) DO UPDATE SET failures = f.failures + 1, failed_at = EXCLUDED.failed_at,
    last_error = EXCLUDED.last_error

-- name: forget_failed_invitation_mails
-- Forget the failed attempts, because an email was accepted.
DELETE FROM invitation_mail_failures

-- name: failed_invitation_mails
-- Return the failures since the last accepted email, and the number of waiting emails, up to a limit.
SELECT f.failures, f.failing_since, f.failed_at, f.last_error, w.waiting
FROM invitation_mail_failures f, LATERAL (
    SELECT count(*) AS waiting FROM (
        SELECT FROM invitation_mails WHERE due_at IS NOT NULL LIMIT %(limit)s) m) w

-- name: end_restored_invitation_mails
-- End the emails that were queued before sending stopped. They may have been sent after the backup.
UPDATE invitation_mails SET outcome = 'restored', due_at = NULL
WHERE due_at IS NOT NULL AND created_at <= COALESCE((SELECT stopped_at FROM rate_limit), 'infinity')
