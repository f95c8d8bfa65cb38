-- People by number of devices (identifiers are simulated)
SELECT devices, people, members, people - members AS not_members
FROM lake.marts.devices_per_person
ORDER BY devices
