-- Members and what they did. Grain: workspace_id. Reads: core.members, core.orders. Owner: crm.
CREATE OR REPLACE VIEW lake_admin.marts.members_overview SECURITY DEFINER AS
WITH bought AS (
    SELECT workspace_id, subject_token, count(*) AS baskets, max(ordered_at) AS last_ordered_at
    FROM lake.core.orders
    GROUP BY workspace_id, subject_token
)
SELECT
    member.workspace_id,
    count(*) AS members,
    count_if(json_size(member.attributes, '$') > 0) AS members_with_attributes,
    count(bought.subject_token) AS buyers,
    count_if(bought.subject_token IS NULL) AS never_bought,
    CAST(sum(bought.baskets) AS bigint) AS baskets,
    max(bought.last_ordered_at) AS last_ordered_at
FROM lake.core.members AS member
LEFT JOIN bought ON bought.workspace_id = member.workspace_id AND bought.subject_token = member.subject_token
WHERE member.valid_to IS NULL
GROUP BY member.workspace_id
