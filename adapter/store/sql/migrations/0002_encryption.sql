-- The key with which a stored request is encrypted; NULL: not encrypted.
ALTER TABLE events ADD COLUMN encryption_key text;
ALTER TABLE rejections ADD COLUMN encryption_key text;
