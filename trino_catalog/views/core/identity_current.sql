-- Which identifier belongs to which person, in spans of valid time, as the newest snapshot says: a run that is still
-- writing, or died on its way, changes nothing here. Grain: one identifier in one span. Reads: core.identity_map,
-- core.identity_snapshots. Owner: identity.
CREATE OR REPLACE VIEW lake_admin.core.identity_current SECURITY DEFINER AS
SELECT
    held.identifier_no,
    held.type,
    held.scope,
    held.token,
    held.person_id,
    held.person_no,
    held.valid_from,
    held.valid_to,
    held.system_from,
    held.snapshot_id
-- The pointer first: a version of the map read before it could hold rows that this pointer shows and a run took back.
FROM (SELECT max(published_at) AS published_at FROM lake.core.identity_snapshots) AS newest
CROSS JOIN lake.core.identity_map AS held
WHERE held.system_from <= newest.published_at
    AND (held.system_to IS NULL OR held.system_to > newest.published_at)
