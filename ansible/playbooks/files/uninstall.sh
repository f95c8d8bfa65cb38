# Takes back from a host what `install` brought; data, and the accounts that own them, stay where KEEP_DATA is set.
set -u
added="$DATA/packages.added"
before="$DATA/before"

units="$(grep -l 'Written by Databank' /etc/systemd/system/*.service 2>/dev/null | xargs -rn 1 basename)"
units="$units $(systemctl list-units --all --plain --no-legend 'postgresql@*-databank.service' | cut -d ' ' -f 1)"
for unit in $units; do
  systemctl disable --quiet "$unit" 2>/dev/null
done
# The last brokers find no quorum to say goodbye to, and would wait for minutes.
if [ -n "$(echo $units)" ]; then timeout 60 systemctl stop $units || systemctl kill --signal KILL $units; fi
for unit in $units; do rm -f "/etc/systemd/system/$unit"; done
rm -rf /etc/systemd/system/*.d/databank.conf
rmdir --ignore-fail-on-non-empty /etc/systemd/system/*.service.d 2>/dev/null

# Settings of PostgreSQL go before its packages: removing these would take the data of every cluster that has settings.
for folder in /etc/postgresql/*/databank; do rm -rf "$folder"; done
rm -f /etc/tmpfiles.d/databank-*.conf /usr/local/bin/databank
nft delete table inet databank 2>/dev/null

# What other packages have come to need since then stays.
if [ -s "$added" ]; then
  # Settings that apt and dpkg would ask about were ours.
  dpkg --purge $(sort -u "$added") >/dev/null 2>&1 || for name in $(sort -u "$added"); do
    dpkg --purge "$name" >/dev/null 2>&1 || echo "package $name stays: others need it"
  done
  rm -rf /etc/postgresql /etc/postgresql-common /var/lib/postgresql /var/log/postgresql
fi
for user in prometheus:prometheus postgres:postgresql-common; do  # these packages leave theirs behind
  if grep -qx "${user#*:}" "$added" 2>/dev/null && ! dpkg-query --show "${user#*:}" >/dev/null 2>&1; then
    userdel "${user%:*}" 2>/dev/null
    groupdel "${user%:*}" 2>/dev/null
  fi
done
if [ -d "$before" ]; then cp -a "$before/." /; fi
systemctl daemon-reload
if [ -e "$DATA/units.before" ]; then
  while read -r unit state; do
    if [ "$state" = enabled ]; then systemctl restart "$unit"; else systemctl disable --quiet --now "$unit" 2>/dev/null; fi
  done < "$DATA/units.before"
fi
systemctl reset-failed 2>/dev/null

rm -rf "$PROGRAMS" "$SETTINGS" "$LOGS"
if [ -n "$KEEP_DATA" ]; then
  rm -rf "$before" "$added" "$DATA/packages" "$DATA/units.before"
  echo "data stay in $DATA, with the accounts that own them; --data removes both"
else
  rm -rf "$DATA"
  for user in kafka hdfs databank metastore trino airflow; do
    userdel "$user" 2>/dev/null
    groupdel "$user" 2>/dev/null
  done
fi
true
