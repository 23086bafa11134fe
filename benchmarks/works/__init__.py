"""The works: each module has a TITLE and measures one thing, of us and of what stands beside us."""
