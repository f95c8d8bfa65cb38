-- Visits by day of the workspace's calendar and app. Grain: workspace_id, local_date, app. Reads: core.sessions,
-- core.workspaces. Owner: analytics.
CREATE OR REPLACE VIEW lake_admin.marts.sessions_daily SECURITY DEFINER AS
SELECT
    visit.workspace_id,
    CAST(at_timezone(visit.started_at, workspace.zone) AS date) AS local_date,
    visit.app,
    count(*) AS sessions,
    count(DISTINCT visit.person_id) AS people,
    count_if(visit.authenticated) AS authenticated_sessions,
    sum(visit.events) AS events,
    sum(visit.purchases) AS purchases,
    sum(visit.duration_s) AS duration_s
FROM lake.core.sessions AS visit
JOIN lake.core.workspaces AS workspace ON workspace.workspace_id = visit.workspace_id
GROUP BY 1, 2, 3
