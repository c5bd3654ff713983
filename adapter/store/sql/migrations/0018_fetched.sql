-- What was fetched for a webhook that contains only IDs (`fetch:` in its mapping), as JSON. It contains
-- personal data, so it is encrypted and erased together with the body.
ALTER TABLE events ADD COLUMN fetched text;
