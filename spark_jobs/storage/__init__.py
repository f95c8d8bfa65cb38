"""Where rows live: the Spark session, Delta tables by path, fingerprints, and the record of runs."""
