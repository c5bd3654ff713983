-- Statistics about the format of each source's webhooks, and changes in it.

CREATE TABLE format_counts (
    source text PRIMARY KEY,
    events bigint NOT NULL,
    accepted bigint NOT NULL,
    mapping_hash text NOT NULL
);

CREATE TABLE format_features (
    source text NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    value text NOT NULL,
    seen bigint NOT NULL,
    first bigint NOT NULL,
    last bigint NOT NULL,
    longest_gap bigint NOT NULL,
    missed_at timestamptz,
    missed_event bigint,
    first_at timestamptz,
    first_event bigint,
    PRIMARY KEY (source, kind, name, value)
);

CREATE TABLE format_changes (
    source text NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    value text NOT NULL,
    since timestamptz NOT NULL,
    first_event bigint NOT NULL,
    affected bigint NOT NULL,
    of bigint NOT NULL,
    new_paths jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (source, kind, name, value)
);

CREATE TABLE format_progress (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    position bigint NOT NULL
);
INSERT INTO format_progress (position) SELECT COALESCE(max(id) - 5000, 0) FROM events;
