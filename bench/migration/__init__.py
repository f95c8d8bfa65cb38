"""What a verified copy costs: rows per CPU second, beside a plain Spark copy, DuckDB and delta-rs."""
