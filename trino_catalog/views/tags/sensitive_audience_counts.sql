-- Sizes of audiences of a sensitive class at each publication; for roles that may see them.
-- Grain: workspace_id, audience, state_version. Reads: tags.audience_publications, tags.sensitive_audiences. Owner: marketing.
CREATE OR REPLACE VIEW lake_admin.tags.sensitive_audience_counts SECURITY DEFINER AS
SELECT
    published.workspace_id,
    told.audience,
    published.number AS state_version,
    CAST(json_extract_scalar(told.facts, '$.persons') AS BIGINT) AS persons,
    CAST(json_extract_scalar(told.facts, '$.unknown') AS BIGINT) AS unknown_persons,
    published.persons AS everyone,
    json_extract_scalar(told.facts, '$.version') AS version,
    json_extract_scalar(told.facts, '$.classes') AS classes,
    published.base_at,
    published.published_at,
    published.snapshot_id,
    published.tags_number
FROM lake.tags.audience_publications AS published
CROSS JOIN UNNEST(CAST(json_parse(published.audiences) AS MAP(VARCHAR, JSON))) AS told(audience, facts)
LEFT JOIN lake.tags.sensitive_audiences AS hidden
    ON hidden.workspace_id = published.workspace_id
    AND hidden.audience = told.audience
WHERE json_extract_scalar(told.facts, '$.classes') <> '' OR hidden.audience IS NOT NULL
