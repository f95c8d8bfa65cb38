-- Who entered and left audiences of a sensitive class; for roles that may see them.
-- Grain: workspace_id, audience, person_id, state_version.
-- Who refuses profiling is left out.
-- Reads: tags.audience_publications, tags.audience_changes, tags.sensitive_audiences, tags.refused_persons.
-- Owner: marketing.
CREATE OR REPLACE VIEW lake_admin.tags.sensitive_audience_history SECURITY DEFINER AS
SELECT
    changes.workspace_id,
    changes.state_version,
    changes.audience,
    changes.person_id,
    changes.person_no,
    changes.change,
    changes.cause,
    changes.survivor_id,
    changes.tags,
    changes.classes,
    changes.base_at,
    published.published_at,
    changes.version,
    changes.snapshot_id
FROM lake.tags.audience_publications AS published
JOIN lake.tags.audience_changes AS changes
    ON changes.workspace_id = published.workspace_id
    AND changes.generation = published.generation
LEFT JOIN lake.tags.sensitive_audiences AS hidden
    ON hidden.workspace_id = changes.workspace_id
    AND hidden.audience = changes.audience
LEFT JOIN lake.tags.refused_persons AS refused
    ON refused.workspace_id = changes.workspace_id
    AND refused.person_id = changes.person_id
WHERE (changes.classes <> '' OR hidden.audience IS NOT NULL) AND refused.person_id IS NULL
