-- What is still kept of a lead, after its days are over or its renter asked to be forgotten.

ALTER TABLE events ADD COLUMN kept text NOT NULL DEFAULT 'all'
    -- all; lead: the bookings without what was sent; nothing: ids, states and times only.
    CONSTRAINT events_kept CHECK (kept IN ('all', 'lead', 'nothing'));
CREATE INDEX events_to_erase ON events (kept, received_at)
    WHERE kept <> 'nothing' AND state <> 'received';
CREATE INDEX rejections_by_time ON rejections (received_at);
