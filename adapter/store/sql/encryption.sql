-- Encryption of stored requests.

-- name: events_to_encrypt
-- Lock and return events after an ID that are not encrypted with this key. If the key is NULL, return all
-- that are encrypted. Skip events that none of these keys can decrypt.
SELECT id, headers, query, body, fetched, encryption_key FROM events
WHERE id > %(after)s AND kept = 'all' AND encryption_key IS DISTINCT FROM %(key)s
    AND (encryption_key IS NULL OR encryption_key = ANY(%(keys)s::text[]))
ORDER BY id LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED

-- name: encrypt_event
-- Replace the stored request of an event.
UPDATE events SET headers = %(headers)s, query = %(query)s, body = %(body)s, fetched = %(fetched)s,
    encryption_key = %(encryption_key)s
WHERE id = %(id)s

-- name: rejections_to_encrypt
-- Lock and return rejected requests in the same way.
SELECT id, headers, url, body, encryption_key FROM rejections
WHERE id > %(after)s AND encryption_key IS DISTINCT FROM %(key)s
    AND (encryption_key IS NULL OR encryption_key = ANY(%(keys)s::text[]))
ORDER BY id LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED

-- name: encrypt_rejection
-- Replace a stored rejected request.
UPDATE rejections SET headers = %(headers)s, url = %(url)s, body = %(body)s,
    encryption_key = %(encryption_key)s
WHERE id = %(id)s

-- name: messages_to_encrypt
-- Lock and return messages in the same way. They have no headers.
SELECT id, '{}'::jsonb AS headers, body, encryption_key FROM messages
WHERE id > %(after)s AND body IS NOT NULL AND encryption_key IS DISTINCT FROM %(key)s
    AND (encryption_key IS NULL OR encryption_key = ANY(%(keys)s::text[]))
ORDER BY id LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED

-- name: encrypt_message
-- Replace the text of a message.
UPDATE messages SET body = %(body)s, encryption_key = %(encryption_key)s WHERE id = %(id)s

-- name: requests_to_encrypt
-- Count the requests and messages that are not encrypted with this key or, if it is NULL, that are encrypted.
SELECT (SELECT count(*) FROM events
        WHERE kept = 'all' AND encryption_key IS DISTINCT FROM %(key)s)
    + (SELECT count(*) FROM rejections WHERE encryption_key IS DISTINCT FROM %(key)s)
    + (SELECT count(*) FROM messages
        WHERE body IS NOT NULL AND encryption_key IS DISTINCT FROM %(key)s) AS requests

-- name: undecryptable_events
-- Return the events that none of these keys can decrypt. This reads all events.
SELECT id FROM events
WHERE encryption_key IS NOT NULL AND encryption_key <> ALL(%(keys)s::text[]) ORDER BY id

-- name: undecryptable_rejections
-- Return the rejected requests that none of these keys can decrypt.
SELECT id FROM rejections
WHERE encryption_key IS NOT NULL AND encryption_key <> ALL(%(keys)s::text[]) ORDER BY id
