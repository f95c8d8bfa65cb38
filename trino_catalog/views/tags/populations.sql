-- People per tag and value; who has no row has the tag's `otherwise` value. Sensitive tags are left out.
-- Grain: workspace_id, tag, value. Reads: tags.current_tags. Owner: marketing.
CREATE OR REPLACE VIEW lake_admin.tags.populations SECURITY DEFINER AS
SELECT workspace_id, tag, value, count(*) AS people, max(base_at) AS base_at
FROM lake.tags.current_tags
GROUP BY 1, 2, 3
