"""What keeps a server going: shutdown, checks, the demo."""
