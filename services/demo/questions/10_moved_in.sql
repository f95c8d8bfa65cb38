-- What moved in, and what did not
SELECT target, sum(rows_read) AS read, sum(rows_good) AS good, sum(rows_quarantined) AS quarantined,
    sum(rows_duplicate) AS duplicate
FROM lake.migration.chunks
GROUP BY 1
UNION ALL
SELECT 'live messages', sum(rows_in), sum(rows_out), sum(rows_quarantined), sum(rows_duplicate)
FROM lake.ops.runs
WHERE job = 'ingest'
ORDER BY 2 DESC
