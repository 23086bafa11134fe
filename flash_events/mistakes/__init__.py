"""The usual mistakes of those who write event callbacks: how they are found, and their cures."""
