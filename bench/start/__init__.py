"""What a job costs before it does anything: with set-up's archive of Spark's classes, and without."""
