"""Pictures as they are shown: square pixels, SDR, and the size that is asked for. No files and no models."""
