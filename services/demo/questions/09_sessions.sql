-- Sessions by app (web and app visits are simulated, visits to a store are real purchases)
SELECT app, count(*) AS sessions, count(DISTINCT person_id) AS people,
    CAST(avg(duration_s) / 60.0 AS decimal(8, 1)) AS mean_minutes, sum(purchases) AS purchases
FROM lake.core.sessions
GROUP BY 1
ORDER BY 2 DESC, 1
