# Takes back from a host what `install` brought; data, and the accounts that own them, stay where KEEP_DATA is set.
set -u
before="$DATA/before"
added="$(sort -u "$DATA/packages.added" 2>/dev/null)"

# A name that others only mention is known to dpkg as well.
is_there() { ! dpkg-query --show --showformat='${db:Status-Status}\n' "$1" 2>&1 | grep -qE '^not-installed|no packages found'; }
# It came with us, and nothing has kept it.
is_gone() { echo "$added" | grep -qx "$1" && ! is_there "$1"; }
has_clusters() { ls /etc/postgresql/*/*/postgresql.conf >/dev/null 2>&1; }
drop_account() { userdel "$1" 2>/dev/null; groupdel "$1" 2>/dev/null; }

units="$(grep -l 'Written by Databank' /etc/systemd/system/*.socket /etc/systemd/system/*.service 2>/dev/null | xargs -rn 1 basename)"
units="$units $(systemctl list-units --all --plain --no-legend 'postgresql@*-databank.service' | cut -d ' ' -f 1)"
for unit in $units; do
  systemctl disable --quiet "$unit" 2>/dev/null
done
# The last brokers find no quorum to say goodbye to, and would wait for minutes.
if [ -n "$(echo $units)" ]; then timeout 60 systemctl stop $units || systemctl kill --signal KILL $units; fi
for unit in $units; do rm -f "/etc/systemd/system/$unit"; done
systemctl disable --quiet --now databank-firewall.service 2>/dev/null
rm -f /etc/systemd/system/databank-firewall.service
nft delete table inet databank 2>/dev/null
rm -rf /etc/systemd/system/*.d/databank.conf
rmdir --ignore-fail-on-non-empty /etc/systemd/system/*.service.d 2>/dev/null
rm -f /etc/tmpfiles.d/databank-*.conf /usr/local/bin/databank
if grep -qs 'Written by Databank' /etc/prometheus/prometheus.yml; then
  rm -f /etc/prometheus/alerts.yml /etc/prometheus/alerts.test.yml /etc/prometheus/consoles/databank.html
fi

# Settings of PostgreSQL go before its packages: removing these would take the data of every cluster that has settings.
for folder in /etc/postgresql/*/databank; do
  if [ -d "$folder" ]; then rm -rf "$folder" && rmdir --ignore-fail-on-non-empty "${folder%/*}"; fi
done
rm -f /var/log/postgresql/postgresql-*-databank.log*
going="$added"
if has_clusters; then
  going="$(echo "$added" | grep -v '^postgresql')"
  if [ "$going" != "$added" ]; then echo "packages of PostgreSQL stay: it has clusters that are not ours"; fi
fi

# Settings that apt and dpkg would ask about were ours.
if [ -n "$going" ] && ! dpkg --purge $going >/dev/null 2>&1 </dev/null; then
  # What other packages have come to need since then stays. One that goes may free another.
  is_less=yes
  while [ -n "$is_less" ]; do
    is_less="" left=""
    for name in $going; do
      if dpkg --purge "$name" >/dev/null 2>&1 </dev/null; then is_less=yes; else left="$left $name"; fi
    done
    going="$left"
  done
  for name in $going; do echo "package $name stays: others need it"; done
fi
# What these packages leave behind, or take with them that the system makes.
if is_gone locales; then systemd-tmpfiles --create --prefix=/etc/default; fi
if is_gone postgresql-common && ! has_clusters; then
  rm -rf /etc/postgresql /etc/postgresql-common /var/log/postgresql /var/lib/postgresql/.[!.]*
  rmdir --ignore-fail-on-non-empty /var/lib/postgresql/* /var/lib/postgresql 2>/dev/null
fi
if is_gone ssl-cert; then groupdel ssl-cert 2>/dev/null; fi
if echo "$added" | grep -q '^openjdk-' && ! dpkg-query --list 'openjdk-*-jre-headless' 2>/dev/null | grep -q '^ii'; then
  rm -rf /etc/.java
fi

# One that we did not overwrite may have been changed since then. Of folders nothing is copied, not even a mode.
if [ -d "$before" ]; then
  (cd "$before" && find . ! -type d) | while IFS= read -r path; do
    path="${path#.}"
    if [ -e "$path" ] && ! grep -qs 'Written by Databank' "$path"; then continue; fi
    mkdir -p "${path%/*}"
    cp -a --remove-destination "$before$path" "$path"
  done
fi
systemctl daemon-reload
if [ -e "$DATA/units.before" ]; then
  while read -r unit state; do
    if [ "$state" = enabled ]; then systemctl restart "$unit"; else systemctl disable --quiet --now "$unit" 2>/dev/null; fi
  done < "$DATA/units.before"
fi
systemctl reset-failed 2>/dev/null

rm -rf "$PROGRAMS" "$SETTINGS" "$LOGS"
if [ -n "$KEEP_DATA" ]; then
  rm -rf "$before" "$DATA/packages.added" "$DATA/packages" "$DATA/units.before"
  echo "data stay in $DATA, with the accounts that own them; --data removes both"
else
  rm -rf "$DATA"
  for user in kafka hdfs databank metastore trino airflow profiles; do drop_account "$user"; done
fi
if is_gone postgresql-common && ! has_clusters && [ ! -d "$DATA/postgresql" ]; then drop_account postgres; fi
if is_gone prometheus-node-exporter && ! is_there prometheus && [ ! -d "$DATA/prometheus" ]; then drop_account prometheus; fi
true
