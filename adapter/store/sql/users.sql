-- Console users, failed sign-ins and the audit log.

-- name: add_user
-- Add a user, or change an existing user's password and role.
INSERT INTO users (name, role, password, added_at) VALUES (%(name)s, %(role)s, %(password)s, %(at)s)
ON CONFLICT (name) DO UPDATE SET role = EXCLUDED.role, password = EXCLUDED.password

-- name: change_password
-- Change a user's password, unless the user was removed or has another password by now.
UPDATE users SET password = %(password)s WHERE name = %(name)s AND password = %(old)s RETURNING name

-- name: change_role
-- Change a user's role. Return no row if there is no such user.
UPDATE users SET role = %(role)s WHERE name = %(name)s RETURNING name

-- name: remove_user
-- Remove a user.
DELETE FROM users WHERE name = %(name)s RETURNING role

-- name: list_users
-- Return all users.
SELECT name, role, password, added_at FROM users ORDER BY name

-- name: record_failed_sign_in
-- Record a failed sign-in.
INSERT INTO failed_sign_ins (who, at) SELECT who, %(at)s FROM unnest(%(keys)s::text[]) AS who
RETURNING id

-- name: failed_sign_ins
-- Count failed sign-ins since the given time.
SELECT who, count(*) AS failures FROM failed_sign_ins
WHERE who = ANY(%(keys)s) AND at > %(since)s GROUP BY who

-- name: delete_failed_sign_ins
-- Delete failed sign-ins, for example after a successful one.
DELETE FROM failed_sign_ins WHERE who = ANY(%(keys)s) OR id = ANY(%(ids)s)

-- name: delete_old_sign_ins
-- Delete the oldest failures, which no longer count. Their IDs are in order of time.
DELETE FROM failed_sign_ins WHERE at < %(before)s AND id IN (
    SELECT id FROM failed_sign_ins ORDER BY id LIMIT %(limit)s)
RETURNING id

-- name: insert_audit_entry
-- Add an entry to the audit log.
INSERT INTO audit_log (at, by, action, lead_id, detail)
VALUES (%(at)s, %(by)s, %(action)s, %(lead_id)s, %(detail)s)

-- name: audit_entries
-- Return audit entries, newest first, excluding actions that start with one of these words.
SELECT * FROM audit_log
WHERE (%(by)s::text IS NULL OR by = %(by)s) AND (%(lead_id)s::bigint IS NULL OR lead_id = %(lead_id)s)
    AND (%(action)s::text IS NULL OR action = %(action)s)
    AND NOT action ^@ ANY(%(except_actions)s::text[])
    AND (%(before)s::bigint IS NULL OR id < %(before)s)
ORDER BY id DESC LIMIT %(limit)s

-- name: last_assignment
--- Return a user's last assignment of a property before an entry, or the undoing of one.
SELECT * FROM audit_log
WHERE by = %(by)s AND id < %(before)s AND id >= %(before)s - %(searched)s
    AND action IN ('property_assigned', 'property_unassigned')
ORDER BY id DESC LIMIT 1

-- name: last_actions
-- Return the time of each user's last action.
SELECT name, last.at FROM unnest(%(names)s::text[]) AS name, LATERAL (
    SELECT at FROM audit_log WHERE by = name ORDER BY id DESC LIMIT 1) last

-- name: delete_old_audit_entries
-- Delete the oldest entries. Their IDs are in order of time.
DELETE FROM audit_log WHERE at < %(before)s AND id IN (SELECT id FROM audit_log ORDER BY id LIMIT %(limit)s)
RETURNING id
