-- People by number of devices (simulated)
WITH owned AS (
    SELECT person_id, count(DISTINCT CASE WHEN type = 'device' THEN identifier_no END) AS devices
    FROM lake.core.identity_map
    WHERE system_to IS NULL
    GROUP BY 1
)
SELECT devices, count(*) AS people
FROM owned
GROUP BY 1
ORDER BY 1
