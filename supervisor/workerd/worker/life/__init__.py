"""The worker's life: the table that decides, the commands it gives, and who carries them out."""
