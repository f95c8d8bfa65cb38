"""The appliance's control node: what it remembers of a cluster, and the playbooks that it runs on it."""
