"""Erasure of persons: recorded, carried out in every table, proved. Stands above the capabilities, as questions do."""
