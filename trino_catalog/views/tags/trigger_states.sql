-- Where each trigger of a cart or order stands: due, held, control, cancelled or sent.
-- Grain: workspace_id, trigger, object_id, waits.
-- Who refuses profiling is left out.
-- Reads: tags.triggers, tags.trigger_runs, tags.refused_persons. Owner: marketing.
CREATE OR REPLACE VIEW lake_admin.tags.trigger_states SECURITY DEFINER AS
SELECT
    steps.workspace_id,
    steps.trigger,
    steps.object_id,
    steps.waits,
    steps.state,
    steps.reason,
    steps.held_until,
    steps.person_id,
    steps.person_no,
    steps.since_at,
    steps.due_at,
    steps.released_at,
    steps.ended_by,
    steps.decided_at,
    steps.snapshot_id,
    steps.number
FROM (
    -- Steps of runs that died or lost their number count nowhere.
    SELECT counted.workspace_id, counted.trigger, counted.object_id, counted.waits, max(counted.number) AS number
    FROM lake.tags.triggers AS counted
    JOIN lake.tags.trigger_runs AS known
        ON known.workspace_id = counted.workspace_id
        AND known.number = counted.number
        AND known.generation = counted.generation
    GROUP BY 1, 2, 3, 4
) AS newest
JOIN lake.tags.triggers AS steps
    ON steps.workspace_id = newest.workspace_id
    AND steps.trigger = newest.trigger
    AND steps.object_id = newest.object_id
    AND steps.waits = newest.waits
    AND steps.number = newest.number
JOIN lake.tags.trigger_runs AS runs
    ON runs.workspace_id = steps.workspace_id
    AND runs.number = steps.number
    AND runs.generation = steps.generation
LEFT JOIN lake.tags.refused_persons AS refused
    ON refused.workspace_id = steps.workspace_id
    AND refused.person_id = steps.person_id
WHERE refused.person_id IS NULL
