-- Master ids as the newest snapshot says: who lives, and whom an id that was merged resolves to.
-- Grain: one person_id. Reads: core.persons, core.identity_snapshots. Owner: identity.
CREATE OR REPLACE VIEW lake_admin.core.persons_current SECURITY DEFINER AS
WITH known AS (
    SELECT
        person.*,
        row_number() OVER (PARTITION BY person.person_id ORDER BY person.system_from DESC NULLS LAST) AS place
    FROM (SELECT max(published_at) AS published_at FROM lake.core.identity_snapshots) AS newest
    CROSS JOIN lake.core.persons AS person
    WHERE newest.published_at IS NOT NULL
        AND (person.system_from IS NULL OR person.system_from <= newest.published_at)
)
SELECT
    person_id,
    person_no,
    survivor_id,
    survivor_id = person_id AS is_living,
    seed_identifier_no,
    generation,
    first_seen_at,
    system_from,
    snapshot_id
FROM known
WHERE place = 1
