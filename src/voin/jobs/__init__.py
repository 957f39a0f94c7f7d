"""Files in, files out: `voin.complete` and `voin.mask`, in chunks, resumable."""
