-- How far each migration is. Grain: plan_id, target. Reads: migration.chunks. Owner: platform.
CREATE OR REPLACE VIEW lake_admin.migration.progress SECURITY DEFINER AS
SELECT
    plan_id,
    target,
    count(*) AS chunks,
    count_if(state = 'planned') AS chunks_planned,
    count_if(state = 'copying') AS chunks_copying,
    count_if(state = 'copied') AS chunks_copied,
    count_if(state = 'verified') AS chunks_verified,
    count_if(state = 'failed') AS chunks_failed,
    sum(bytes) AS bytes,
    coalesce(sum(bytes) FILTER (WHERE state IN ('copied', 'verified')), 0) AS bytes_done,
    coalesce(sum(rows_read), 0) AS rows_read,
    coalesce(sum(rows_good), 0) AS rows_good,
    coalesce(sum(rows_quarantined), 0) AS rows_quarantined,
    coalesce(sum(rows_duplicate), 0) AS rows_duplicate,
    max(updated_at) AS updated_at
FROM lake.migration.chunks
GROUP BY plan_id, target
