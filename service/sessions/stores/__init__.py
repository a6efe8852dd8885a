"""Where snapshots lie: one interface, several stores."""

