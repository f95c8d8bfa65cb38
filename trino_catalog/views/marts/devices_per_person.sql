-- How many devices people use. Grain: devices (identifiers of type `device` that a person holds for all time or held in
-- any slice). Reads: core.identity_current. Owner: identity.
CREATE OR REPLACE VIEW lake_admin.marts.devices_per_person SECURITY DEFINER AS
WITH people AS (
    SELECT person_id, count(DISTINCT CASE WHEN type = 'device' THEN identifier_no END) AS devices,
        max(CASE WHEN type = 'member_no' THEN 1 ELSE 0 END) AS is_member
    FROM lake.core.identity_current
    GROUP BY person_id
)
SELECT devices, count(*) AS people, sum(is_member) AS members
FROM people
GROUP BY devices
