"""What `seqserve inspect` shows: a bundle as tables, and what goes on inside it as heat maps and pictures."""
