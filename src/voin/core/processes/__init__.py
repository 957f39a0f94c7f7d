"""Work in other processes: each is spawned, dies with its parent and leaves Ctrl-C to it, and is ended politely."""
