"""Tags: typed definitions in YAML, compiled to one plan, evaluated for everybody at one base time, versioned."""
