-- Who refuses profiling, as of the tags in force; other views leave them out. For the platform's own use.
-- Grain: workspace_id, person_id. Reads: tags.publications, tags.refused. Owner: marketing.
CREATE OR REPLACE VIEW lake_admin.tags.refused_persons SECURITY DEFINER AS
SELECT
    refused.workspace_id,
    refused.person_id,
    refused.person_no,
    refused.tag,
    refused.base_at,
    refused.snapshot_id
FROM lake.tags.publications AS published
JOIN (
    SELECT workspace_id, max(number) AS number
    FROM lake.tags.publications
    WHERE kind = 'current'
    GROUP BY 1
) AS newest
    ON newest.workspace_id = published.workspace_id
    AND newest.number = published.number
JOIN lake.tags.refused AS refused
    ON refused.workspace_id = published.workspace_id
    AND refused.generation = published.generation
WHERE published.kind = 'current'
