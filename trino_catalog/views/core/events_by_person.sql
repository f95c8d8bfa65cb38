-- Events with the person who did them, as identity stands now; null where nobody is known.
-- Grain: event_id in its workspace. Reads: core.events, core.identity_current. Owner: identity.
CREATE OR REPLACE VIEW lake_admin.core.events_by_person SECURITY DEFINER AS
SELECT
    events.workspace_id,
    events.event_id,
    events.source,
    events.name,
    events.occurred_at,
    events.occurred_date,
    held.person_id,
    held.person_no,
    events.authenticated,
    events.session_key,
    events.app,
    events.terminal,
    events.channel,
    events.campaign,
    events.properties,
    events.origin
FROM lake.core.events AS events
LEFT JOIN lake.core.identity_current AS held
    ON held.type = events.subject_type
    AND held.scope = events.subject_scope
    AND held.token = events.subject_token
    AND events.occurred_at >= held.valid_from
    AND events.occurred_at < held.valid_to
