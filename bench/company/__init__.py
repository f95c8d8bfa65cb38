"""A company with known truth: who owns which identifier, and who did what while nobody knew them.

Everything that one person has and does is a pure function of the seed, the person's number and the person's own
purchases, so the work may be cut into any partitions, on any number of machines, and gives the same rows. Here one
process goes through them in order; a run of Spark may call the same functions partition by partition.
Nothing of the platform imports this; it runs as a process and leaves files.
"""
