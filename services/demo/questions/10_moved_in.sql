-- What moved in, and what did not: every record has a place
WITH history AS (
    SELECT target, sum(rows_good) AS good, sum(rows_duplicate) AS duplicate
    FROM lake.migration.progress
    GROUP BY target
),
live AS (
    SELECT sum(rows_out) AS good, sum(rows_duplicate) AS duplicate FROM lake.ops.runs WHERE job = 'ingest'
)
SELECT source, place, records
FROM (
    SELECT 'history: ' || target AS source, 1 AS rank, 'good' AS place, good AS records FROM history
    UNION ALL
    SELECT 'history: ' || target, 2, 'duplicate', duplicate FROM history
    UNION ALL
    SELECT 'live messages', 1, 'good', good FROM live
    UNION ALL
    SELECT 'live messages', 2, 'duplicate', duplicate FROM live
    UNION ALL
    SELECT
        CASE stage WHEN 'ingest' THEN 'live messages' ELSE 'history: ' || target END,
        3,
        'quarantined: ' || reason,
        sum(records)
    FROM lake.quarantine.summary
    GROUP BY stage, target, reason
)
WHERE records > 0
ORDER BY source, rank, records DESC, place
