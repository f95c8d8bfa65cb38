-- Refused records without their content. Grain: workspace_id, stage, target, reason. Reads: quarantine.rows.
-- Owner: platform.
CREATE OR REPLACE VIEW lake_admin.quarantine.summary SECURITY DEFINER AS
SELECT
    workspace_id,
    stage,
    target,
    reason,
    count(*) AS records,
    min(quarantined_at) AS first_at,
    max(quarantined_at) AS last_at
FROM lake.quarantine.rows
GROUP BY workspace_id, stage, target, reason
