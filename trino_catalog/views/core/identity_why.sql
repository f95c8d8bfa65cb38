-- Why identifiers are together or not: links as the newest snapshot judges them, with what showed or decided each.
-- Persons are null for identifiers that nobody holds for good. Grain: one link and one piece of evidence.
-- Reads: core.identity_link_states, core.identity_snapshots, core.identity_links, core.identity_decisions,
-- core.identifiers, core.identity_current. Owner: identity.
CREATE OR REPLACE VIEW lake_admin.core.identity_why SECURITY DEFINER AS
WITH judged AS (
    SELECT
        link.identifier_a,
        link.identifier_b,
        link.state,
        link.reason,
        link.system_from
    -- The pointer first, as in core.identity_current.
    FROM (SELECT max(published_at) AS published_at FROM lake.core.identity_snapshots) AS newest
    CROSS JOIN lake.core.identity_link_states AS link
    WHERE newest.published_at IS NOT NULL
        AND (link.system_from IS NULL OR link.system_from <= newest.published_at)
        AND (link.system_to IS NULL OR link.system_to > newest.published_at)
),
decided AS (
    SELECT
        decision.identifier_a,
        decision.identifier_b,
        decision.kind,
        'decision' AS source,
        decision.decision_id AS event_id,
        CAST(1 AS bigint) AS observations,
        decision.decided_at AS first_seen_at,
        decision.decided_at AS last_seen_at,
        decision.author,
        decision.reason AS decided_because
    FROM lake.core.identity_decisions AS decision
    LEFT JOIN (
        SELECT ended.withdraws FROM lake.core.identity_decisions AS ended WHERE ended.withdraws IS NOT NULL
    ) AS gone ON gone.withdraws = decision.decision_id
    WHERE gone.withdraws IS NULL
        AND decision.identifier_a <> decision.identifier_b
),
shown AS (
    SELECT
        seen.identifier_a,
        seen.identifier_b,
        seen.kind,
        seen.source,
        min_by(seen.event_id, ROW(seen.first_seen_at, seen.event_id)) AS event_id,
        sum(seen.observations) AS observations,
        min(seen.first_seen_at) AS first_seen_at,
        max(seen.last_seen_at) AS last_seen_at,
        max(seen.author) AS author,
        max(seen.reason) AS decided_because
    FROM lake.core.identity_links AS seen
    GROUP BY 1, 2, 3, 4
),
evidence AS (
    SELECT * FROM shown
    UNION ALL
    SELECT * FROM decided
)
SELECT
    holder_a.person_id AS person_a,
    holder_b.person_id AS person_b,
    judged.state,
    judged.reason,
    judged.identifier_a,
    a.type AS type_a,
    a.scope AS scope_a,
    a.token AS token_a,
    judged.identifier_b,
    b.type AS type_b,
    b.scope AS scope_b,
    b.token AS token_b,
    evidence.kind,
    evidence.source,
    evidence.event_id,
    evidence.observations,
    evidence.first_seen_at,
    evidence.last_seen_at,
    evidence.author,
    evidence.decided_because,
    judged.system_from AS judged_since
FROM judged
JOIN lake.core.identifiers AS a ON a.identifier_no = judged.identifier_a
JOIN lake.core.identifiers AS b ON b.identifier_no = judged.identifier_b
LEFT JOIN lake.core.identity_current AS holder_a
    ON holder_a.identifier_no = judged.identifier_a
    AND holder_a.valid_from = TIMESTAMP '1900-01-01 00:00:00 UTC'
LEFT JOIN lake.core.identity_current AS holder_b
    ON holder_b.identifier_no = judged.identifier_b
    AND holder_b.valid_from = TIMESTAMP '1900-01-01 00:00:00 UTC'
LEFT JOIN evidence
    ON evidence.identifier_a = judged.identifier_a
    AND evidence.identifier_b = judged.identifier_b
