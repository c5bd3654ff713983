-- Emails with a link to choose a tour time, one for each invited guest card.

CREATE TABLE invitation_mails (
    booking_id bigint PRIMARY KEY REFERENCES bookings,
    language text NOT NULL,
    created_at timestamptz NOT NULL,
    due_at timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    outcome text
);
CREATE INDEX invitation_mails_due ON invitation_mails (due_at) WHERE due_at IS NOT NULL;
