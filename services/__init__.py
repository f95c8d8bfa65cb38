"""What runs beside Spark: set-up, the single-machine stack, the demo and the command line."""
