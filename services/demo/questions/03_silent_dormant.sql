-- Silent members (registered, never bought) and dormant members (bought, but not for more than 90 days)
SELECT
    overview.members,
    overview.buyers,
    sum(tag.people) FILTER (WHERE tag.tag = 'silent' AND tag.value = 'true') AS silent,
    sum(tag.people) FILTER (WHERE tag.tag = 'dormant' AND tag.value = 'true') AS dormant,
    CAST(100.0 * sum(tag.people) FILTER (WHERE tag.tag = 'dormant' AND tag.value = 'true') / overview.buyers AS decimal(5, 2))
        AS dormant_percent_of_buyers
FROM lake.marts.members_overview AS overview
JOIN lake.tags.populations AS tag ON tag.workspace_id = overview.workspace_id
GROUP BY overview.members, overview.buyers
