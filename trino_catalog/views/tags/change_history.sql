-- Changes of tags that were published, those of sensitive classes left out; in order they give the state.
-- Grain: workspace_id, tag, person_id, state_version. Reads: tags.publications, tags.changes. Owner: marketing.
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
WHERE changes.classes = ''
