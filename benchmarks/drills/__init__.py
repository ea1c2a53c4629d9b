"""What is killed, moved and damaged on purpose, and whether the same release comes out: docs/reliability.md has it."""
