-- Whether emails with a link to choose a tour time keep failing, and when an email was last tried.

ALTER TABLE invitation_mails ADD COLUMN tried_at timestamptz;

CREATE TABLE invitation_mail_failures (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    failures integer NOT NULL,
    failing_since timestamptz NOT NULL,
    failed_at timestamptz NOT NULL,
    last_error text NOT NULL
);

-- The options of a community that was added in the console, as in communities.yaml.
ALTER TABLE added_communities
    ADD COLUMN tour_hours jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN check_availability boolean NOT NULL DEFAULT false,
    ADD COLUMN pms text NOT NULL DEFAULT '';
