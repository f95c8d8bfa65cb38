-- Silent members (registered, never bought) and dormant members (bought, not again for 90 days)
SELECT tag, value, count(*) AS members
FROM lake.tags.person_tags
WHERE tag IN ('silent', 'dormant')
GROUP BY 1, 2
ORDER BY 1, 2
