"""What components cost: the platform's, alone and in the whole identity job, and peers over the same links."""
