"""What Trino shows: catalogues, registered tables, views; `python -m trino_catalog.apply` makes it so."""
