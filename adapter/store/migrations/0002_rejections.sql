-- Refused requests, kept apart from events and bounded; and which secret verified last.

-- One request that did not prove itself, without credentials.
CREATE TABLE rejections (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL,
    received_at timestamptz NOT NULL,
    reason text NOT NULL,
    method text NOT NULL,
    -- As the sender wrote it, with its query.
    url text NOT NULL,
    headers jsonb NOT NULL,
    -- NULL: not kept, because a secret may stand in it or because it is too long.
    body bytea,
    -- What the row counts for in the bound.
    bytes bigint NOT NULL,
    -- Keyed hash of the sender's address, short: tells senders apart, and no more.
    sender text,
    -- Whether it can be verified again: not where the proof was the secret itself.
    can_retry boolean NOT NULL
);
CREATE INDEX rejections_by_source ON rejections (source, id);

-- When each secret last verified a request. Holds names, never secrets.
CREATE TABLE secret_uses (
    source text NOT NULL,
    -- The environment variable.
    name text NOT NULL,
    used_at timestamptz NOT NULL,
    PRIMARY KEY (source, name)
);
