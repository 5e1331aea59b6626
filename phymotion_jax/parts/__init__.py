"""What the parts of all presets share: what a violation is, and how far poses leave their range."""
