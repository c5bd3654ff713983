-- Rejected requests.

-- name: set_statement_timeout
-- Set statement_timeout for the rest of this transaction.
SELECT set_config('statement_timeout', %(limit)s, true)

-- name: lock_rejections
-- Allow only one transaction at a time to add to a source's rejections, so that the limit is exact.
SELECT pg_advisory_xact_lock(hashtextextended('rejections:' || %(source)s, 0))

-- name: insert_rejection
-- Store a rejected request.
INSERT INTO rejections (
    source, received_at, reason, method, url, headers, body, bytes, sender, can_retry, proofs,
    encryption_key)
VALUES (
    %(source)s, %(received_at)s, %(reason)s, %(method)s, %(url)s, %(headers)s, %(body)s, %(bytes)s,
    %(sender)s, %(can_retry)s, %(proofs)s::bytea[], %(encryption_key)s)

-- name: trim_rejections
-- Delete a source's rejections beyond this many rows and bytes. The oldest ones from the sender with the
-- most are deleted first, so that a flood displaces only its own requests. Rejections that can be verified
-- again have a separate limit, so that probes of a URL cannot displace leads.
DELETE FROM rejections USING (
    SELECT id, row_number() OVER fair AS place, sum(bytes) OVER fair AS total
    FROM (
        SELECT id, can_retry, bytes,
            row_number() OVER (PARTITION BY can_retry, sender ORDER BY id DESC) AS turn
        FROM rejections WHERE source = %(source)s
    ) of_senders
    WINDOW fair AS (PARTITION BY can_retry ORDER BY turn, id DESC)
) ranked
WHERE rejections.id = ranked.id AND (place > %(rows)s OR total > %(bytes)s)

-- name: list_rejections
-- Return rejections without their contents, newest first, optionally from one source only.
SELECT id, source, received_at, reason, bytes AS size, sender, can_retry FROM rejections
WHERE (%(source)s::text IS NULL OR source = %(source)s)
ORDER BY id DESC LIMIT %(limit)s

-- name: get_rejection
-- Return one rejection.
SELECT * FROM rejections WHERE id = %(id)s

-- name: rejections_of_source
-- Return all rejections of one source that one of these keys can decrypt, oldest first.
SELECT * FROM rejections
WHERE source = %(source)s AND (encryption_key IS NULL OR encryption_key = ANY(%(keys)s::text[]))
ORDER BY id

-- name: delete_rejection
-- Delete a rejection.
DELETE FROM rejections WHERE id = %(id)s

-- name: rejection_counts
-- Count the stored rejections of each source.
SELECT source, count(*) AS rejections FROM rejections GROUP BY source

-- name: add_rejection_counts
-- Add to the counts of rejected requests.
INSERT INTO rejection_counts (source, reason, requests)
SELECT * FROM unnest(%(sources)s::text[], %(reasons)s::text[], %(requests)s::bigint[])
ON CONFLICT (source, reason)
DO UPDATE SET requests = rejection_counts.requests + EXCLUDED.requests

-- name: rejection_totals
-- Return the number of rejected requests, by source and reason.
SELECT source, reason, requests FROM rejection_counts ORDER BY source, reason
