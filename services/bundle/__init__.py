"""The offline bundle: one signed file with everything that hosts without internet need."""
