"""Operation of a server: shutdown, the doctor, the demo."""
