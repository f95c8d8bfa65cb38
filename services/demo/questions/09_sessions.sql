-- Visits by app (store and till are real purchases; web and app visits are simulated)
SELECT
    app,
    count(*) AS visits,
    count(DISTINCT person_id) AS people,
    sum(events) AS events,
    CAST(avg(duration_s) / 60.0 AS decimal(8, 1)) AS mean_minutes,
    CAST(100.0 * count_if(authenticated) / count(*) AS decimal(5, 1)) AS percent_with_login,
    sum(purchases) AS purchases
FROM lake.core.sessions
GROUP BY app
ORDER BY visits DESC, app
