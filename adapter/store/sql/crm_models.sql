-- The access to Knock's tours and guest cards through Propexo.

-- name: crm_models
-- Return the stored state of each model in each integration.
SELECT integration_id, model, state, checked_at, heard_at FROM crm_models ORDER BY integration_id, model

-- name: save_crm_model
-- Save the result of reading a model's list.
INSERT INTO crm_models (integration_id, model, state, checked_at)
VALUES (%(integration_id)s, %(model)s, %(state)s, %(at)s)
ON CONFLICT (integration_id, model) DO UPDATE SET state = excluded.state, checked_at = excluded.checked_at

-- name: hear_crm_model
-- Record a webhook about a record of a model, at most once per interval. Return a row if it was recorded.
INSERT INTO crm_models AS known (integration_id, model, state, checked_at, heard_at)
VALUES (%(integration_id)s, %(model)s, 'readable', %(at)s, %(at)s)
ON CONFLICT (integration_id, model) DO UPDATE SET heard_at = excluded.heard_at,
    state = CASE WHEN known.state = 'off' THEN 'off' ELSE 'readable' END
WHERE (known.heard_at > %(since)s) IS NOT TRUE
RETURNING heard_at
