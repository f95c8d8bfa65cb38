# What a helper needs to see of a host, to standard output; at most LINES lines of each journal, and what was left out is said.
LINES=2000
say() { printf '\n===== %s\n' "$*"; }
run() { say "$@"; "$@" 2>&1; }
run uname -a
run cat /etc/os-release
run uptime
run free -m
run df -h -x tmpfs -x overlay /
run df -h "$DATA" "$PROGRAMS"
run ip -brief address
run ss -lntup
run timedatectl
run nft list table inet databank
run systemctl --no-pager --full status databank-firewall
run systemctl --no-pager --failed
run ls -l "$PROGRAMS" "$PROGRAMS"/*
run ls -lR "$SETTINGS"
say settings
# Files that hold nothing but a secret are not read; what stands in the others is taken out on the control node.
find "$SETTINGS" -type f -size -64k ! -name '*.pem' ! -name '*.p12' ! -name '*.jks' ! -name '*.key' ! -name '*password*' \
  ! -name 'pgpass*' ! -name 'root_key*' ! -name 'user-*' \
  -exec sh -c 'if grep -q "PRIVATE KEY" "$1"; then exit; fi; echo "--- $1"; cat "$1"' sh {} \;
for unit in $UNITS; do
  for name in $(systemctl list-units --all --plain --no-legend --full "$unit.service" "$unit.socket" | cut -d ' ' -f 1); do
    run systemctl --no-pager --full --lines 0 status "$name"
    run systemctl cat "$name"
    say "journal of $name, its last $LINES lines of $(journalctl --no-pager --quiet --unit "$name" | wc -l)"
    journalctl --no-pager --quiet --lines "$LINES" --unit "$name"
  done
done
true
