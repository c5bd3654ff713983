-- What users have put in place in the console, in addition to the files.

-- Another name that a source uses for a community.
CREATE TABLE community_aliases (
    source text NOT NULL,
    -- The name in the form in which names are compared.
    key text NOT NULL,
    name text NOT NULL,
    community text NOT NULL,
    -- The source's attribution at this community, if the file has none.
    attribution_id text,
    by text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (source, key)
);

-- A community that communities.yaml does not list.
CREATE TABLE added_communities (
    key text PRIMARY KEY,
    name text NOT NULL,
    integration_id text NOT NULL,
    community_id text NOT NULL,
    timezone text NOT NULL,
    by text NOT NULL,
    at timestamptz NOT NULL
);

-- Each mapping that was put in place. Append-only: the newest version of a source counts.
CREATE TABLE mapping_versions (
    source text NOT NULL,
    number integer NOT NULL,
    -- NULL: the file is used again.
    text text,
    -- SHA-256 of the mapping file that it replaces. It is not used with any other file.
    file_hash text NOT NULL,
    reason text NOT NULL,
    by text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (source, number)
);

-- The number of changes to these tables, in one row, so that processes notice them. No row: 0.
CREATE TABLE put_in_place (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    changes bigint NOT NULL DEFAULT 0
);
