"""The works: each module has a TITLE and measures one quantity of all contenders."""
