-- Values of tags in force, those of sensitive classes (health, minors, finance) left out.
-- Grain: workspace_id, tag, person_id. Reads: tags.publications, tags.person_tags. Owner: marketing.
CREATE OR REPLACE VIEW lake_admin.tags.current_tags SECURITY DEFINER AS
SELECT
    person_tags.workspace_id,
    person_tags.tag,
    person_tags.person_id,
    person_tags.person_no,
    person_tags.value,
    person_tags.next_change_at,
    person_tags.classes,
    person_tags.base_at,
    published.published_at,
    person_tags.version,
    person_tags.snapshot_id,
    person_tags.generation
FROM lake.tags.publications AS published
JOIN (
    SELECT workspace_id, max(number) AS number
    FROM lake.tags.publications
    WHERE kind = 'current'
    GROUP BY 1
) AS newest
    ON newest.workspace_id = published.workspace_id
    AND newest.number = published.number
JOIN lake.tags.person_tags AS person_tags
    ON person_tags.workspace_id = published.workspace_id
    AND person_tags.generation = published.generation
WHERE published.kind = 'current' AND person_tags.classes = ''
