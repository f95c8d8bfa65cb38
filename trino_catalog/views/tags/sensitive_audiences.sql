-- Audiences that not everybody may see: of a sensitive class as last published, or made of a tag that is of one now.
-- Grain: workspace_id, audience. Reads: tags.audience_publications, tags.publications. Owner: marketing.
CREATE OR REPLACE VIEW lake_admin.tags.sensitive_audiences SECURITY DEFINER AS
SELECT told.workspace_id, told.audience
FROM (
    SELECT states.workspace_id, one.audience, max_by(one.facts, states.number) AS facts
    FROM lake.tags.audience_publications AS states
    CROSS JOIN UNNEST(CAST(json_parse(states.audiences) AS MAP(VARCHAR, JSON))) AS one(audience, facts)
    GROUP BY 1, 2
) AS told
LEFT JOIN (
    SELECT published.workspace_id, array_agg(tag.name) AS names
    FROM lake.tags.publications AS published
    JOIN (
        SELECT workspace_id, max(number) AS number
        FROM lake.tags.publications
        WHERE kind = 'current'
        GROUP BY 1
    ) AS newest
        ON newest.workspace_id = published.workspace_id
        AND newest.number = published.number
    CROSS JOIN UNNEST(CAST(json_extract(published.state, '$.tags') AS MAP(VARCHAR, JSON))) AS tag(name, facts)
    WHERE published.kind = 'current' AND json_extract_scalar(tag.facts, '$.classes') <> ''
    GROUP BY 1
) AS hidden
    ON hidden.workspace_id = told.workspace_id
WHERE
    json_extract_scalar(told.facts, '$.classes') <> ''
    OR coalesce(arrays_overlap(CAST(json_extract(told.facts, '$.tags') AS ARRAY(VARCHAR)), hidden.names), false)
