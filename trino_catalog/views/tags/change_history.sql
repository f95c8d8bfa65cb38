-- Changes of tags that were published, but of sensitive classes and of who refuses profiling; in order they give the state.
-- Grain: workspace_id, tag, person_id, state_version.
-- Reads: tags.publications, tags.changes, tags.refused_persons. Owner: marketing.
CREATE OR REPLACE VIEW lake_admin.tags.change_history SECURITY DEFINER AS
SELECT
    changes.workspace_id,
    changes.state_version,
    changes.tag,
    changes.person_id,
    changes.person_no,
    changes.old_value,
    changes.new_value,
    changes.cause,
    changes.classes,
    changes.base_at,
    published.published_at,
    changes.version,
    changes.snapshot_id
FROM lake.tags.publications AS published
JOIN lake.tags.changes AS changes
    ON changes.workspace_id = published.workspace_id
    AND changes.generation = published.generation
LEFT JOIN (
    -- A class that was declared later counts for what was recorded before, too.
    SELECT states.workspace_id, told.tag, json_extract_scalar(told.facts, '$.classes') AS classes
    FROM lake.tags.publications AS states
    JOIN (
        SELECT workspace_id, max(number) AS number
        FROM lake.tags.publications
        WHERE kind = 'current'
        GROUP BY 1
    ) AS newest
        ON newest.workspace_id = states.workspace_id
        AND newest.number = states.number
    CROSS JOIN UNNEST(CAST(json_extract(states.state, '$.tags') AS MAP(VARCHAR, JSON))) AS told(tag, facts)
    WHERE states.kind = 'current'
) AS now
    ON now.workspace_id = changes.workspace_id
    AND now.tag = changes.tag
LEFT JOIN lake.tags.refused_persons AS refused
    ON refused.workspace_id = changes.workspace_id
    AND refused.person_id = changes.person_id
WHERE
    changes.classes = ''
    AND coalesce(now.classes, '') = ''
    AND (refused.person_id IS NULL OR refused.tag = changes.tag)
